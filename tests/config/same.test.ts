import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Config } from "../../src/config/model.ts";
import { showConfig } from "../../src/config/show.ts";
import { createSecrets, Secret } from "../../src/core/secret.ts";
import { folderWith, load } from "./loading.ts";

const typescript =
  `import { defineConfig, env, file, local, mongodb, postgres, sqlite } from "dbbackup";
export default defineConfig({
  databases: {
    shop: postgres({
      url: env("SHOP_URL"),
      password: file("./secret"),
      tls: { mode: "verify-full", ca: "./ca.pem" },
    }),
    docs: mongodb({ host: "db", port: 27018, password: env("DOCS_PASSWORD", "none") }),
    app: sqlite({ path: "./data/app.db" }),
  },
  destinations: { disk: local({ path: "/var/backups" }), near: local({ path: "near" }) },
  defaults: {
    destinations: ["near"],
    stallTimeout: "5m",
    compression: "none",
    encryption: { recipients: ["age1dde4d64x7maaag8rsn6vc3epk548fvqp3ppxm92zw7cc20u6gv0qvlk95e"] },
  },
  identities: [file("keys.txt"), env("KEY")],
  jobs: {
    shop: {
      database: "shop",
      destinations: ["disk", "near"],
      compression: { codec: "zstd", level: 9 },
      encryption: { passphrase: file("./passphrase") },
      timeout: "2h30m",
      volumeSize: "512MiB",
      retention: { daily: 7, maxAge: "90d", destinations: { near: { last: 2, minKeep: 1 } } },
      timezone: "Europe/Berlin",
      abandonedAfter: "3d",
    },
    app: { database: "app" },
  },
  stateDir: "state",
  tempDir: "/var/tmp",
  log: { level: "debug", format: "json", file: { path: "log/x.log", maxSize: "1MiB", keep: 2 } },
});
`;

const yaml = `databases:
  shop:
    type: postgres
    url: \${SHOP_URL}
    password: \${file:./secret}
    tls: { mode: verify-full, ca: ./ca.pem }
  docs: { type: mongodb, host: db, port: 27018, password: "\${DOCS_PASSWORD:-none}" }
  app: { type: sqlite, path: ./data/app.db }
destinations:
  disk: { type: local, path: /var/backups }
  near: { type: local, path: near }
defaults:
  destinations: [near]
  stallTimeout: 5m
  compression: none
  encryption: { recipients: [age1dde4d64x7maaag8rsn6vc3epk548fvqp3ppxm92zw7cc20u6gv0qvlk95e] }
identities: ["\${file:keys.txt}", "\${KEY}"]
jobs:
  shop:
    database: shop
    destinations: [disk, near]
    compression: { codec: zstd, level: 9 }
    encryption: { passphrase: "\${file:./passphrase}" }
    timeout: 2h30m
    volumeSize: 512MiB
    retention: { daily: 7, maxAge: 90d, destinations: { near: { last: 2, minKeep: 1 } } }
    timezone: Europe/Berlin
    abandonedAfter: 3d
  app: { database: app }
stateDir: state
tempDir: /var/tmp
log: { level: debug, format: json, file: { path: log/x.log, maxSize: 1MiB, keep: 2 } }
`;

/** A config with its references taken apart, so that they compare by what they refer to. */
function comparable(config: Config): unknown {
  return JSON.parse(JSON.stringify(
    {
      ...config,
      path: null,
      databases: [...config.databases],
      destinations: [...config.destinations],
      jobs: [...config.jobs],
    },
    (_, value) => value,
  ));
}

function parts(value: unknown): unknown {
  if (value instanceof Secret) return value.parts;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, parts(one)]));
}

describe("TypeScript and YAML", () => {
  test("say the same through the same schema", async () => {
    const folder = folderWith({ "c.ts": typescript, "c.yaml": yaml });
    const [one, other] = [await load(folder, "c.ts"), await load(folder, "c.yaml")];
    assert.deepEqual(comparable(other), comparable(one));
    for (const [name, { options, kind }] of one.databases) {
      assert.deepEqual(parts(other.databases.get(name)!.options), parts(options));
      assert.equal(other.databases.get(name)!.kind, kind);
    }
    const shown = (config: Config) => ({ ...showConfig(config), path: null });
    assert.deepEqual(shown(other), shown(one));
  });

  test("take relative paths from the config's folder, and defaults where a job is silent", async () => {
    const folder = folderWith({ "c.ts": typescript });
    const config = await load(folder, "c.ts");
    assert.deepEqual(config.databases.get("app")!.options, { path: `${folder}/data/app.db` });
    assert.deepEqual(config.destinations.get("near")!.options, { path: `${folder}/near` });
    assert.deepEqual(parts(config.databases.get("shop")!.options), {
      url: [{ env: "SHOP_URL" }],
      password: [{ file: `${folder}/secret` }],
      tls: { mode: "verify-full", ca: `${folder}/ca.pem` },
    });
    assert.equal(config.stateDir, `${folder}/state`);
    assert.deepEqual(config.log.file, {
      path: `${folder}/log/x.log`,
      maxBytes: 1024 ** 2,
      keep: 2,
    });
    const app = config.jobs.get("app")!;
    assert.deepEqual(app.destinations.map(({ name }) => name), ["near"]);
    assert.deepEqual(app.compression, { codec: "none" });
    assert.deepEqual(app.encryption, {
      recipients: ["age1dde4d64x7maaag8rsn6vc3epk548fvqp3ppxm92zw7cc20u6gv0qvlk95e"],
    });
    assert.deepEqual(parts(config.jobs.get("shop")!.encryption), {
      passphrase: [{ file: `${folder}/passphrase` }],
    });
    assert.deepEqual(config.identities.map(parts), [
      [{ file: `${folder}/keys.txt` }],
      [{ env: "KEY" }],
    ]);
    assert.equal(app.stallTimeoutMs, 300_000);
    assert.equal(app.timeoutMs, undefined);
    assert.equal(app.volumeBytes, 100 * 1024 ** 3);
  });

  test("load without a variable that is not set: references are resolved later", async () => {
    const folder = folderWith({ "c.yaml": yaml });
    const config = await load(folder, "c.yaml");
    const { url } = config.databases.get("shop")!.options as { url: Secret };
    await assert.rejects(createSecrets({}).resolve(url), { code: "config/env-missing" });
  });
});

describe("config show", () => {
  test("shows references and hides secrets that are written out", async () => {
    const canary = "c4n4ry-s3cr3t";
    const folder = folderWith({
      "c.yaml": `databases:
  one: { type: postgres, url: "postgres://u:${canary}@h/db?sslpassword=${canary}" }
  two: { type: postgres, host: h, password: ${canary} }
  three: { type: postgres, url: "postgres://u:${canary}\${X}@h/db" }
  four: { type: postgres, host: h, password: "${canary}\${X}" }
  five: { type: postgres, url: "postgres://u:\${X:-${canary}}@h/db" }
destinations:
  disk: { type: local, path: /b }
jobs:
  one: { database: one, destinations: [disk], dumpArgs: ["--password=${canary}"] }
`,
    });
    const shown = JSON.stringify(showConfig(await load(folder, "c.yaml")));
    assert.ok(!shown.includes(canary), shown);
    const { databases } = JSON.parse(shown);
    assert.equal(databases.one.url, "postgres://u:[redacted]@h/db?sslpassword=[redacted]");
    assert.deepEqual(databases.two, { type: "postgres", host: "h", password: "[redacted]" });
    assert.equal(databases.three.url, "postgres://u:[redacted]@h/db");
    assert.equal(databases.four.password, "[redacted]");
  });

  test("shows what loads again", async () => {
    const folder = folderWith({ "c.ts": typescript });
    const shown = showConfig(await load(folder, "c.ts"));
    const { stringify } = await import("yaml");
    const { path: _, ...rest } = shown;
    const again = folderWith({ "c.yaml": stringify(rest) });
    const reloaded = showConfig(await load(again, "c.yaml"));
    assert.deepEqual({ ...reloaded, path: null }, { ...shown, path: null });
  });
});
