import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  assertNothingLeft,
  dbbackup,
  fails,
  listed,
  type Place,
  place,
  succeeds,
} from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

/** A place with a SQLite file, and with a config in its working directory. */
function withConfig(name: string, text: string, fileName = "backup.config.yaml"): Place {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"));
  writeFileSync(join(at.folder, fileName), text, { mode: 0o600 });
  return at;
}

const shop = `databases:
  shop: { type: sqlite, path: shop.db }
  # Its server is gone, and with it everybody who knew the password.
  dead: { type: postgres, url: "\${DEAD_DATABASE_URL}" }
destinations:
  disk: { type: local, path: ./backups }
jobs:
  shop: { database: shop, destinations: [disk] }
  dead: { database: dead, destinations: [disk] }
`;

describe("a config", () => {
  test("that config init wrote checks well once its variable is set", async () => {
    for (const flags of [[], ["--yaml"]]) {
      const at = place(`init${flags.join("")}`);
      await succeeds(at, ["config", "init", ...flags]);
      await fails(at, ["config", "init", ...flags], "config/exists", 3);
      await fails(at, ["config", "check"], "config/env-missing", 3);
      await fails(at, ["config", "check"], "config/env-empty", 3, {
        env: { SHOP_DATABASE_URL: "" },
      });
      const env = { SHOP_DATABASE_URL: "postgres://app:canary-4711@127.0.0.1:9/shop" };
      await succeeds(at, ["config", "check"], { env });
      const shown = await succeeds(at, ["config", "show"], { env });
      assert.match(shown.stdout, /url: \$\{SHOP_DATABASE_URL\}/);
      const dead = await fails(
        at,
        ["config", "check", "--connect"],
        "connection/unreachable",
        4,
        { env },
      );
      assert.doesNotMatch(dead.stdout + dead.stderr, /canary/);
    }
  });

  test("init writes a tsconfig for files beside the config, and leaves one that is there", async () => {
    const at = place("init-tsconfig");
    await succeeds(at, ["config", "init"]);
    const path = join(at.folder, "tsconfig.json");
    assert.match(readFileSync(path, "utf8"), /"allowImportingTsExtensions": true/);
    writeFileSync(path, "{}");
    await succeeds(at, ["config", "init", "--force"]);
    assert.equal(readFileSync(path, "utf8"), "{}");
  });

  test("types and schema are printed as config init writes them", async () => {
    const at = place("printed");
    await succeeds(at, ["config", "init"]);
    const types = await succeeds(at, ["config", "types"]);
    assert.equal(types.stdout, readFileSync(join(at.folder, "dbbackup.d.ts"), "utf8"));
    await succeeds(at, ["config", "init", "--yaml", "--force"]);
    const schema = await succeeds(at, ["config", "schema"]);
    const written = readFileSync(join(at.folder, "backup.config.schema.json"), "utf8");
    assert.deepEqual(JSON.parse(schema.stdout), JSON.parse(written));
  });

  test("needs no secret of a database that is not asked: run one job, list, restore elsewhere", async () => {
    const at = withConfig("lazy", shop);
    await succeeds(at, ["backup", "shop"]);
    assert.equal(((await succeeds(at, ["list", "--json"])).json() as unknown[]).length, 1);
    await succeeds(at, ["verify", "--deep"]);
    await succeeds(at, ["restore", "shop", "--to", "sqlite:back.db", "--yes"]);
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
    await fails(at, ["backup", "dead"], "config/env-missing", 3);
  });

  test("with a job that fails runs the others, and exits with the worst", async () => {
    const at = withConfig("worst", shop);
    const result = await fails(at, ["run", "--once", "--json"], "config/env-missing", 3);
    const { runs } = result.json() as {
      runs: { job: string; status: string; exitStatus: number; error: { code: string } | null }[];
    };
    assert.deepEqual(runs.map(({ job, status }) => [job, status]), [
      ["shop", "success"],
      ["dead", "failure"],
    ]);
    assert.equal(runs[1]!.error!.code, "config/env-missing");
    assert.equal((await listed(at, "./backups")).length, 1);
    await succeeds(at, ["run", "--once", "shop"]);
    const { stderr } = await fails(at, ["run", "--once", "shp"], "usage/unknown-job", 2);
    assert.match(stderr, /Did you mean "shop"\?/);
  });

  test("with an empty variable is told, and nothing is backed up", async () => {
    const at = withConfig("empty-variable", shop);
    const env = { DEAD_DATABASE_URL: "" };
    await fails(at, ["backup", "dead"], "config/env-empty", 3, { env });
    assertNothingLeft(join(at.folder, "backups"));
  });

  test("with mistakes names file, line, key, what was found, what was expected, and the nearest", async () => {
    const at = withConfig(
      "mistakes",
      `databases:
  shop: { type: sqlite, path: 5 }
destinations:
  disk: { type: lcal, path: ./backups }
jobs:
  shop: { databse: shop, destinations: [dsk], timeout: 10 }
`,
    );
    const { stderr } = await fails(at, ["run", "--once"], "config/invalid", 3);
    assert.ok(stderr.includes(join(at.folder, "backup.config.yaml")), stderr);
    assert.match(stderr, /line 2: databases\.shop\.path: found a number, expected/);
    assert.match(stderr, /line 4: destinations\.disk\.type: found "lcal".* mean "local"\?/);
    assert.match(stderr, /line 6: jobs\.shop\.databse: found an unknown key.* mean "database"\?/);
    assert.match(stderr, /line 6: jobs\.shop\.timeout: found the number 10, expected a duration/);
    assert.match(stderr, /line 6: jobs\.shop\.destinations\[0\]: found "dsk".* mean "disk"\?/);
    assert.ok(!existsSync(join(at.folder, "backups")));
  });

  test("that was found and that others can write is refused before it runs", async () => {
    const code = `import { writeFileSync } from "node:fs"; writeFileSync("ran", "");\n`;
    const at = withConfig("unsafe", code, "backup.config.ts");
    const path = join(at.folder, "backup.config.ts");
    chmodSync(path, 0o666);
    await fails(at, ["list"], "config/unsafe", 3);
    chmodSync(path, 0o600);
    chmodSync(at.folder, 0o777);
    await fails(at, ["list"], "config/unsafe", 3);
    assert.ok(!existsSync(join(at.folder, "ran")));
    // One that is named is loaded as it is: it was asked for.
    await fails(at, ["list", "--config", path], "config/no-default-export", 3);
    assert.ok(existsSync(join(at.folder, "ran")));
  });

  test("is not searched for by the ad-hoc form", async () => {
    const at = withConfig("not-searched", "this is: [no config");
    await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
    await succeeds(at, ["list", "--from", "./backups"]);
    await succeeds(at, ["verify", "--from", "./backups"]);
    await succeeds(at, ["restore", "--from", "./backups", "--to", "sqlite:back.db", "--yes"]);
    await fails(at, ["list"], "config/syntax", 3);
  });

  test("takes paths from its own folder and shows them in messages, even from a variable", async () => {
    const at = place("paths");
    const etc = join(at.folder, "etc");
    mkdirSync(join(etc, "data"), { recursive: true });
    makeSqlite(join(etc, "data", "app.db"));
    writeFileSync(
      join(etc, "c.yaml"),
      `databases:
  app: { type: sqlite, path: data/app.db }
  gone: { type: sqlite, path: "\${GONE_PATH}" }
destinations: { disk: { type: local, path: store } }
jobs:
  app: { database: app, destinations: [disk] }
  gone: { database: gone, destinations: [disk] }
`,
    );
    await succeeds(at, ["backup", "app", "--config", "etc/c.yaml"]);
    assert.ok(existsSync(join(etc, "store", "app")));
    const env = { GONE_PATH: "/nowhere/gone.db" };
    const args = ["backup", "gone", "--config", "etc/c.yaml"];
    const { stderr } = await fails(at, args, "connection/no-database", 4, { env });
    assert.match(stderr, /"\/nowhere\/gone\.db"/, "a path is no secret");
  });
});

describe("the log", () => {
  const yaml = (log: string) =>
    shop.replaceAll(/^ {2}dead: .*\n/gm, "").replace(/^ {2}#.*\n/m, "") + `log: ${log}\n`;
  type Line = Record<string, unknown>;
  const parsed = (text: string): Line[] =>
    text.trim().split("\n").map((line) => JSON.parse(line) as Line);

  test("is JSON with run, job and database on each line of a run, and nothing else is on stderr", async () => {
    const at = withConfig("json-log", yaml("{ format: json }"));
    const { stderr } = await succeeds(at, ["backup", "shop"]);
    const lines = parsed(stderr);
    assert.ok(lines.length >= 2);
    for (const line of lines) {
      for (const key of ["time", "level", "message", "run", "job", "database"]) {
        assert.equal(typeof line[key], "string", `${key} of ${JSON.stringify(line)}`);
      }
    }
    writeFileSync(join(at.folder, "shop.db"), "this is no database, and it is long enough to see");
    const failed = await dbbackup(at, ["backup", "shop"]);
    assert.notEqual(failed.code, 0);
    const last = parsed(failed.stderr).at(-1)!;
    assert.equal(last["level"], "error");
    for (const key of ["code", "hint", "run"]) assert.equal(typeof last[key], "string", key);
    const usage = await dbbackup(at, ["backup", "shp"]);
    assert.equal(parsed(usage.stderr).at(-1)!["code"], "usage/unknown-job");
  });

  test("goes to a file that is rotated by size and count, and stderr stays for people", async () => {
    const at = withConfig(
      "file-log",
      yaml("{ format: json, file: { path: logs.jsonl, maxSize: 1KiB, keep: 3 } }"),
    );
    for (let run = 0; run < 12; run++) {
      const { stderr } = await succeeds(at, ["backup", "shop"]);
      assert.equal(stderr, "");
    }
    const sizes = ["logs.jsonl", "logs.jsonl.1", "logs.jsonl.2"].map((name) =>
      readFileSync(join(at.folder, name), "utf8")
    );
    for (const text of sizes) assert.ok(text.length <= 1024 && parsed(text).length > 0);
    assert.ok(!existsSync(join(at.folder, "logs.jsonl.3")));
    const { stderr } = await fails(at, ["backup", "shp"], "usage/unknown-job", 2);
    assert.match(stderr, /^error: /, "a failure is told where people look, too");
  });

  test("that cannot be written is an error before anything is done", async () => {
    const at = withConfig("no-log", yaml("{ file: /nowhere/at/all.log }"));
    await fails(at, ["backup", "shop"], "config/log-file", 3);
    assertNothingLeft(join(at.folder, "backups"));
  });
});
