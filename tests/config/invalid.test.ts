import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { folderWith, load, loadError } from "./loading.ts";

const start = `databases:
  app:
    type: sqlite
    path: ./app.db
destinations:
  disk:
    type: local
    path: ./backups
`;

/** What is wrong with a YAML config, line by line. */
const yamlCases: { name: string; text: string; problems: string[] }[] = [
  {
    name: "an unknown key of a job names the nearest one",
    text: `${start}jobs:
  app:
    database: app
    destinations: [disk]
    timout: 2h
`,
    problems: [
      "line 13: jobs.app.timout: found an unknown key, expected one of database, destinations, " +
      "compression, encryption, timeout, stallTimeout, destinationStallTimeout, retryTimeout, accept, exclude, excludeData, schemaOnly, dumpArgs, " +
      'restoreArgs, volumeSize, strategy, drill, retention, timezone, abandonedAfter. Did you mean "timeout"?',
    ],
  },
  {
    name: "a key whose feature is not there yet is unknown",
    text: `${start}jobs:
  app: { database: app, destinations: [disk] }
schedule: "0 3 * * *"
`,
    problems: [
      "line 11: schedule: found an unknown key, expected one of databases, destinations, jobs, " +
      "defaults, identities, stateDir, tempDir, log",
    ],
  },
  {
    name: "an unknown database and destination name the nearest ones",
    text: `${start}jobs:
  app:
    database: apq
    destinations: [disk, dsik]
`,
    problems: [
      'line 11: jobs.app.database: found "apq", expected a declared database: "app". ' +
      'Did you mean "app"?',
      'line 12: jobs.app.destinations[1]: found "dsik", expected a declared destination: "disk". ' +
      'Did you mean "disk"?',
    ],
  },
  {
    name:
      "wrong rules of retention, a destination of it that is not the job's, and a wrong time zone",
    text: `${start}jobs:
  app:
    database: app
    destinations: [disk]
    retention: { dayly: 7 }
    timezone: Europe/Berln
    abandonedAfter: soon
`,
    problems: [
      "line 13: jobs.app.retention.dayly: found an unknown key, expected one of last, hourly, " +
      'daily, weekly, monthly, yearly, maxAge, minKeep, minChains, destinations. Did you mean "daily"?',
      'line 14: jobs.app.timezone: found "Europe/Berln", expected the name of a time zone such as ' +
      '"Europe/Berlin" or "UTC". Did you mean "Europe/Berlin"?',
      'line 15: jobs.app.abandonedAfter: found "soon", expected a duration such as "90s", "10m" or ' +
      '"2h30m"',
    ],
  },
  {
    name: "retention for a destination that the job does not have",
    text: `${start}jobs:
  app:
    database: app
    destinations: [disk]
    retention: { daily: 7, destinations: { dsk: { last: 1 } } }
defaults:
  retention: { destinations: { tape: { last: 1 } } }
`,
    problems: [
      'line 13: jobs.app.retention.destinations.dsk: found "dsk", expected a destination of this ' +
      'job: "disk". Did you mean "disk"?',
      'line 15: defaults.retention.destinations.tape: found "tape", expected a declared ' +
      'destination: "disk"',
    ],
  },
  {
    name: "a destination named twice",
    text: `${start}jobs:
  app: { database: app, destinations: [disk, disk] }
`,
    problems: [
      'line 10: jobs.app.destinations[1]: found "disk" a second time, expected each name once',
    ],
  },
  {
    name: "the types of URLs, a type under another name, and values that are nearly right",
    text: `databases:
  app: { type: "SQLite ", path: x }
  old: { type: postgresql, path: x }
  own: { kind: sqlite, path: x }
destinations:
  disk: { type: file, path: x }
  blob: { type: az, path: x }
jobs:
  app: { database: app, destinations: [disk], compression: Zstd, encryption: None }
  old: { database: app, destinations: [disk], compression: { codec: zst } }
`,
    problems: [
      'line 2: databases.app.type: found "SQLite ", expected one of: "postgres", "mysql", ' +
      '"mariadb", "mongodb", "sqlite". Did you mean "sqlite"?',
      'line 3: databases.old.type: found "postgresql", expected one of: "postgres", "mysql", ' +
      '"mariadb", "mongodb", "sqlite". Did you mean "postgres"?',
      "line 4: databases.own.kind: found an unknown key, expected the key type, one of postgres, " +
      "mysql, mariadb, mongodb, sqlite",
      'line 6: destinations.disk.type: found "file", expected one of: "local", "s3", "gcs", ' +
      '"azure". Did you mean "local"?',
      'line 7: destinations.blob.type: found "az", expected one of: "local", "s3", "gcs", ' +
      '"azure". Did you mean "azure"?',
      'line 9: jobs.app.compression: found "Zstd", expected "gzip", "zstd", "none" or ' +
      '{ codec, level }. Did you mean "zstd"?',
      'line 9: jobs.app.encryption: found "None", expected "none", { recipients: ["age1…"] } or ' +
      '{ passphrase }. Did you mean "none"?',
      'line 10: jobs.old.compression.codec: found "zst", expected one of "gzip", "zstd". ' +
      'Did you mean "zstd"?',
    ],
  },
  {
    name: "an unknown type names the nearest one",
    text: `databases:
  app: { type: sqllite, path: x }
destinations: {}
jobs: {}
`,
    problems: [
      'line 2: databases.app.type: found "sqllite", expected one of: "postgres", "mysql", ' +
      '"mariadb", "mongodb", "sqlite". Did you mean "sqlite"?',
    ],
  },
  {
    name: "a database without a type, and one that is no object",
    text: `databases:
  app: { path: x }
  other: sqlite
destinations: {}
jobs: {}
`,
    problems: [
      "line 2: databases.app.type: found nothing, expected one of postgres, mysql, mariadb, " +
      "mongodb, sqlite",
      "line 3: databases.other: found a text, expected an object with a type",
    ],
  },
  {
    name: "an unknown option of a database",
    text: `databases:
  app: { type: sqlite, pth: x, path: y }
destinations: {}
jobs: {}
`,
    problems: [
      "line 2: databases.app.pth: found an unknown key, expected one of path, source, busyTimeoutMs, answerTimeoutMs. " +
      'Did you mean "path"?',
    ],
  },
  {
    name: "an option's value is not repeated, for it may be a secret",
    text: `databases:
  app:
    type: sqlite
    path: 12345
destinations: {}
jobs: {}
`,
    problems: [
      "line 4: databases.app.path: found a number, expected a text, env(…) or file(…)",
    ],
  },
  {
    name: "wrong types, durations, sizes and compressions, all at once",
    text: `${start}jobs:
  app:
    database: app
    destinations: []
    timeout: 2 hours
    stallTimeout: 600
    volumeSize: 1G
    compression: brotli
    schemaOnly: "yes"
    accept: routines
`,
    problems: [
      "line 12: jobs.app.destinations: found an empty list, expected at least one entry",
      'line 16: jobs.app.compression: found "brotli", expected "gzip", "zstd", "none" or ' +
      "{ codec, level }",
      'line 13: jobs.app.timeout: found "2 hours", expected a duration such as "90s", "10m" or ' +
      '"2h30m"',
      'line 14: jobs.app.stallTimeout: found the number 600, expected a duration such as "600s", ' +
      '"600m" or "600h": a number needs its unit',
      'line 18: jobs.app.accept: found "routines", expected a list',
      'line 17: jobs.app.schemaOnly: found "yes", expected true or false',
      'line 15: jobs.app.volumeSize: found "1G", expected a size such as "512MiB" or "100GiB"',
    ],
  },
  {
    name: "a duration without a unit, and volumes too small to be meant",
    text: `${start}jobs:
  app:
    database: app
    destinations: [disk]
    retryTimeout: "300"
    volumeSize: "100"
    retention: { maxAge: 90 }
`,
    problems: [
      'line 13: jobs.app.retryTimeout: found "300", expected a duration such as "300s", "300m" or ' +
      '"300h": a number needs its unit',
      'line 14: jobs.app.volumeSize: found "100", expected a size of at least 32KiB',
      'line 15: jobs.app.retention.maxAge: found the number 90, expected a duration such as "90s", ' +
      '"90m" or "90h": a number needs its unit',
    ],
  },
  {
    name: "a level that the codec does not have",
    text: `${start}jobs:
  app:
    database: app
    destinations: [disk]
    compression: { codec: gzip, level: 11 }
`,
    problems: [
      "line 13: jobs.app.compression.level: found the number 11, expected a whole number from 1 " +
      "to 9",
    ],
  },
  {
    name: "a setting and an omission that SQLite does not have",
    text: `${start}jobs:
  app:
    database: app
    destinations: [disk]
    dumpArgs: ["-v"]
    accept: [routines]
`,
    problems: [
      "line 13: jobs.app.dumpArgs: found a setting that SQLite does not have, expected none of " +
      "these settings",
      'line 14: jobs.app.accept[0]: found "routines", expected something that a dump of SQLite ' +
      "can leave out, but there is none",
    ],
  },
  {
    name: "a missing database and a missing section",
    text: `databases: {}
jobs:
  app: { destinations: [disk] }
`,
    problems: [
      "destinations: found nothing, expected an object",
      "line 3: jobs.app.database: found nothing, expected a text",
    ],
  },
  {
    name: "a reference where a name is expected",
    text: `${start}jobs:
  app: { database: "\${DB}", destinations: [disk] }
`,
    problems: [
      'line 10: jobs.app.database: found a reference, env("DB"), expected a text',
    ],
  },
  {
    name: "a reference that cannot be read",
    text: `databases:
  app:
    type: sqlite
    path: "\${APP-DB}"
destinations: {}
jobs: {}
`,
    problems: [
      "line 4: databases.app.path: found the reference ${APP-DB}, expected ${NAME}, " +
      "${NAME:-default}, ${file:PATH} or ${command:LINE}; $${ stands for a plain ${",
    ],
  },
  {
    name: "recipients that are none, one of them a secret",
    text: `${start}jobs:
  app:
    database: app
    destinations: [disk]
    encryption:
      recipients:
        - age1dde4d64x7maaag8rsn6vc3epk548fvqp3ppxm92zw7cc20u6gv0qvlk95e
        - age1dde4d64x7maaag8rsn6vc3epk548fvqp3ppxm92zw7cc20u6gv0qvlk95eq
        - AGE-SECRET-KEY-1CANARY
`,
    problems: [
      'line 16: jobs.app.encryption.recipients[1]: found "age1dde4d64x7maaag8rsn6vc3epk548fvqp3ppxm92zw7cc20u6gv0qvlk95eq", ' +
      "expected a public key: age1 and 58 letters, or of SSH. It is cut, or has a wrong letter.",
      "line 17: jobs.app.encryption.recipients[2]: found a secret identity, expected a public key: " +
      "age1 and 58 letters, or of SSH",
    ],
  },
  {
    name: "encryption to recipients and with a passphrase, or for nobody",
    text: `${start}jobs:
  app:
    database: app
    destinations: [disk]
    encryption: { recipients: [age1dde4d64x7maaag8rsn6vc3epk548fvqp3ppxm92zw7cc20u6gv0qvlk95e], passphrase: "\${P}" }
defaults:
  encryption: {}
`,
    problems: [
      "line 13: jobs.app.encryption: found both recipients and passphrase, expected either " +
      "recipients or passphrase",
      "line 15: defaults.encryption: found an empty object, expected either recipients or " +
      "passphrase",
    ],
  },
  {
    name: "keys that are written out, which are not told again",
    text: `${start}jobs:
  app: { database: app, destinations: [disk], encryption: { passphrase: canary } }
identities: [AGE-SECRET-KEY-1CANARY]
`,
    problems: [
      "line 10: jobs.app.encryption.passphrase: found a text, expected a reference: env(…) or " +
      "file(…), in YAML ${X} or ${file:…}",
      "line 11: identities[0]: found a text, expected a reference: env(…) or file(…), in YAML " +
      "${X} or ${file:…}",
    ],
  },
  {
    name: "an encryption of no known kind",
    text: `${start}jobs:
  app: { database: app, destinations: [disk], encryption: gpg }
  bpp: { database: app, destinations: [disk], encryption: { recipient: [x] } }
`,
    problems: [
      'line 10: jobs.app.encryption: found "gpg", expected "none", { recipients: ["age1…"] } or ' +
      "{ passphrase }",
      "line 11: jobs.bpp.encryption.recipient: found an unknown key, expected one of recipients, " +
      'passphrase. Did you mean "recipients"?',
    ],
  },
  {
    name: "a job whose destinations nothing names",
    text: `${start}jobs:
  app: { database: app }
`,
    problems: [
      "line 10: jobs.app.destinations: found nothing, expected a list of destinations, here or in " +
      "defaults",
    ],
  },
  {
    name: "wrong defaults",
    text: `${start}jobs:
  app: { database: app, destinations: [disk] }
defaults:
  destinations: [tape]
  dumpArgs: ["-v"]
`,
    problems: [
      'line 12: defaults.destinations[0]: found "tape", expected a declared destination: "disk"',
      "line 13: defaults.dumpArgs: found a setting that no declared database has, expected no " +
      "such setting",
    ],
  },
  {
    name: "a strategy that there is not, an option that it does not have, and a wrong one",
    text: `${start}jobs:
  app: { database: app, destinations: [disk], strategy: incremntal }
  two: { database: app, destinations: [disk], strategy: { type: ful } }
  three: { database: app, destinations: [disk], strategy: { type: full, fullEvery: 7d } }
  four: { database: app, destinations: [disk], strategy: { type: incremental, fullEvery: 7 } }
defaults: { database: app }
`,
    problems: [
      'line 10: jobs.app.strategy: found "incremntal", expected "full", "incremental", ' +
      '"differential" or { type, fullEvery }. Did you mean "incremental"?',
      'line 11: jobs.two.strategy.type: found "ful", expected one of "full", "incremental", ' +
      '"differential". Did you mean "full"?',
      "line 12: jobs.three.strategy.fullEvery: found an unknown key, expected one of type",
      "line 13: jobs.four.strategy.fullEvery: found the number 7, expected a duration such as " +
      '"7s", "7m" or "7h": a number needs its unit',
      "line 14: defaults.database: found an unknown key, expected one of destinations, " +
      "compression, encryption, timeout, stallTimeout, destinationStallTimeout, retryTimeout, " +
      "accept, exclude, excludeData, schemaOnly, dumpArgs, restoreArgs, volumeSize, strategy, " +
      "drill, retention, timezone, abandonedAfter",
    ],
  },
  {
    name: "a file that is no object",
    text: "- a\n",
    problems: ["the config: found a list, expected an object"],
  },
  {
    name: "an empty file",
    text: "# nothing yet\n",
    problems: ["the config: found an empty value, expected an object"],
  },
];

describe("a wrong YAML config", () => {
  for (const { name, text, problems } of yamlCases) {
    test(name, async () => {
      const folder = folderWith({ "backup.config.yaml": text });
      const { code, message } = await loadError(folder, "backup.config.yaml");
      const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
      assert.equal(
        message,
        `The config "DIR/backup.config.yaml" has ${count}:\n` +
          problems.map((problem) => `  ${problem}`).join("\n"),
      );
      assert.equal(code, "config/invalid");
    });
  }

  test("tells a syntax error with its place", async () => {
    const folder = folderWith({ "c.yaml": "databases:\n  a: [1\njobs: {}\n" });
    const { code, message } = await loadError(folder, "c.yaml");
    assert.equal(code, "config/syntax");
    assert.match(
      message,
      /^The config "DIR\/c.yaml" is not valid YAML:\n {2}line \d+, column \d+: /,
    );
  });

  test("tells a key that is there twice", async () => {
    const folder = folderWith({ "c.yaml": "jobs: {}\njobs: {}\n" });
    const { code, message } = await loadError(folder, "c.yaml");
    assert.equal(code, "config/syntax");
    assert.match(message, /line 2, column 1: Map keys must be unique/);
  });
});

function typescript(jobs: string, more = ""): string {
  return `import { defineConfig, local, sqlite } from "dbbackup";
${more}
export default defineConfig({
  databases: { app: sqlite({ path: "./app.db" }) },
  destinations: { disk: local({ path: "./backups" }) },
  jobs: {
${jobs}
  },
});
`;
}

describe("a wrong TypeScript config", () => {
  test("names the line of a key", async () => {
    const folder = folderWith({
      "c.ts": typescript(`    app: { database: "app", destinations: ["disk"] },
    // timeout: "1h",
    other: {
      database: "app",
      destinations: ["dsk"],
      timeout: "soon",
    },`),
    });
    const { code, message } = await loadError(folder, "c.ts");
    assert.equal(code, "config/invalid");
    assert.equal(
      message,
      'The config "DIR/c.ts" has 2 problems:\n' +
        '  line 12: jobs.other.timeout: found "soon", expected a duration such as "90s", "10m" or ' +
        '"2h30m"\n  line 11: jobs.other.destinations[0]: found "dsk", expected a declared ' +
        'destination: "disk". Did you mean "disk"?',
    );
  });

  test("names the line of a key inside a factory's call", async () => {
    const folder = folderWith({
      "c.ts": `import { defineConfig, local, sqlite } from "dbbackup";
export default defineConfig({
  databases: {
    one: sqlite({
      path: "./app.db",
    }),
    two: sqlite({
      path: "./app.db",
      pragma: "x",
    }),
  },
  destinations: { disk: local({ path: "./backups" }) },
  jobs: {},
});
`,
    });
    const { message } = await loadError(folder, "c.ts");
    assert.equal(
      message,
      'The config "DIR/c.ts" has a problem:\n' +
        "  line 9: databases.two.pragma: found an unknown key, expected one of path, source, busyTimeoutMs, answerTimeoutMs",
    );
  });

  test("says what to write in the place of a plain object", async () => {
    const folder = folderWith({
      "c.ts": 'export default { databases: { a: { path: "x" } }, destinations: {}, jobs: {} };\n',
    });
    const { message } = await loadError(folder, "c.ts");
    assert.equal(
      message,
      'The config "DIR/c.ts" has a problem:\n' +
        "  line 1: databases.a: found an object, expected a database, such as postgres({ … })",
    );
  });

  test("a destination in the place of a database is told", async () => {
    const folder = folderWith({
      "c.ts": 'import { local } from "dbbackup";\n' +
        'export default { databases: { a: local({ path: "x" }) }, destinations: {}, jobs: {} };\n',
    });
    const { message } = await loadError(folder, "c.ts");
    assert.match(message, /databases\.a: found an object, expected a database, such as/);
  });

  test("tells syntax errors with line and column", async () => {
    const folder = folderWith({ "c.ts": 'import "dbbackup";\nexport default {,};\n' });
    const { code, message } = await loadError(folder, "c.ts");
    assert.equal(code, "config/syntax");
    assert.match(
      message,
      /^Cannot read the config "DIR\/c.ts":\n {2}DIR\/c.ts, line 2, column 17: /,
    );
  });

  test("tells where its own code threw", async () => {
    const folder = folderWith({
      "c.ts": "function load(): never {\n  throw new Error('no jobs today');\n}\nload();\n",
    });
    const { code, message } = await loadError(folder, "c.ts");
    assert.equal(code, "config/threw");
    assert.equal(message, 'The config "DIR/c.ts" failed at DIR/c.ts, line 2: no jobs today');
  });

  test("tells an import that does not exist", async () => {
    const folder = folderWith({ "c.ts": 'import jobs from "./jobs.ts";\nexport default jobs;\n' });
    const { code, message } = await loadError(folder, "c.ts");
    assert.equal(code, "config/import");
    assert.match(message, /Cannot find module '\.\/jobs\.ts'/);
  });

  test("tells a name that dbbackup does not export", async () => {
    const folder = folderWith({
      "c.ts": 'import { mssql } from "dbbackup";\nexport default mssql;\n',
    });
    const { code, message } = await loadError(folder, "c.ts");
    assert.equal(code, "config/import");
    assert.match(message, /'mssql'/);
  });

  test("tells a config without a default export", async () => {
    const folder = folderWith({ "c.ts": "export const config = {};\n" });
    const { code } = await loadError(folder, "c.ts");
    assert.equal(code, "config/no-default-export");
  });

  test("may use enums, top-level await, .ts and .json beside it, and environment of its own", async () => {
    const folder = folderWith({
      "c.ts": `import { defineConfig, local } from "dbbackup";
import { app } from "./databases.ts";
import names from "./names.json";
enum Keep { Short = "2h" }
await Promise.resolve();
export default defineConfig({
  databases: { app },
  destinations: { disk: local({ path: names.path }) },
  jobs: { app: { database: "app", destinations: ["disk"], timeout: Keep.Short } },
});
`,
      "databases.ts":
        'import { sqlite } from "dbbackup";\nexport const app = sqlite({ path: "a.db" });\n',
      "names.json": '{ "path": "out" }',
    });
    const config = await load(folder, "c.ts");
    assert.equal(config.jobs.get("app")!.timeoutMs, 7_200_000);
    assert.deepEqual(config.databases.get("app")!.options, { path: `${folder}/a.db` });
    assert.deepEqual(config.destinations.get("disk")!.options, { path: `${folder}/out` });
  });
});
