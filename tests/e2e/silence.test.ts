import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  assertNothingLeft,
  fails,
  type Place,
  place,
  starts,
  succeeds,
  until,
} from "./support/cli.ts";
import { withTools } from "./support/engines.ts";
import { startMongo } from "../support/mongo.ts";
import { needsMongo } from "../support/mongoKinds.ts";
import { startMysql } from "../support/mysql.ts";
import { needs, type NeedsTest } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { stopServer, whileStopped } from "../support/stopped.ts";

needs("postgres15")(
  "a backup whose server is stopped ends by itself, and its job can be run again",
  async () => {
    const server = await startPostgres(15);
    const database = await server.createDatabase("shop");
    await server.psql(database, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id");
    const at = place("silence", { SHOP_URL: server.url(database) });
    const toolsDir = withTools(server.binDir, {
      // Until the server is stopped, which it is once this has begun.
      pg_dump: `touch "$HOME/dumping"; while [ ! -e "$HOME/stopped" ]; do sleep 0.1; done; ` +
        `exec "$REAL" "$@"`,
    });
    const [dumping, isStopped] = ["dumping", "stopped"].map((one) => join(at.env["HOME"]!, one));
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      `databases:
  shop:
    type: postgres
    url: "\${SHOP_URL}"
    toolsDir: ${toolsDir}
    answerTimeoutMs: 4000
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk], stallTimeout: 1h } }
`,
      { mode: 0o600 },
    );
    const { ended } = starts(at, ["backup", "shop"]);
    await until("the dump runs", () => existsSync(dumping!));
    const stopped = stopServer(server.pid());
    try {
      writeFileSync(isStopped!, "");
      const { code, stderr } = await ended;
      assert.equal(code, 4, stderr);
      assert.match(stderr, /connection\/silent/);
      assert.match(stderr, /has not answered for 4 s/);
      assert.match(stderr, /does not answer; it is waited for up to 4 s/);
      assertNothingLeft(join(at.folder, "backups"));
      // The lock is free: the next run gets as far as the server.
      const next = await fails(at, ["backup", "shop"], "connection/unreachable", 4);
      assert.match(next.stderr, /no answer within 10 s/);
    } finally {
      stopped.goOn();
    }
    await succeeds(at, ["backup", "shop"]);
  },
);

/** A server that a test of its own stops, and a URL of a database in it. */
const stoppable: Record<
  string,
  { needed: NeedsTest; start(): Promise<{ url: string; pids: () => readonly number[] }> }
> = {
  postgres: {
    needed: needs("postgres15"),
    async start() {
      const server = await startPostgres(15);
      return { url: server.url("postgres"), pids: () => [server.pid()] };
    },
  },
  mysql: {
    needed: needs("mysql"),
    async start() {
      const server = await startMysql();
      return { url: server.url("mysql"), pids: () => [server.pid()] };
    },
  },
  mongodb: {
    needed: needsMongo(),
    async start() {
      const server = await startMongo();
      return { url: server.url("admin"), pids: () => server.pids() };
    },
  },
};

for (const [type, { needed, start }] of Object.entries(stoppable)) {
  needed(`doctor and config check end where a ${type} server is stopped`, async () => {
    const { url, pids } = await start();
    const at = place(`silence-${type}`, { DATABASE_URL: url });
    const config = `databases:
  shop: { type: ${type}, url: "\${DATABASE_URL}", connectTimeoutMs: 1500, answerTimeoutMs: 3000 }
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk] } }
`;
    writeFileSync(join(at.folder, "backup.config.yaml"), config, { mode: 0o600 });
    await whileStopped(pids(), async () => {
      for (const args of [["doctor"], ["config", "check", "--connect"]]) {
        const { stdout } = await fails(at, args, "connection/", 4, { timeoutMs: 30_000 });
        assert.match(
          stdout,
          /no answer|has not answered for/,
        );
      }
      // Without --connect, nobody is asked.
      await succeeds(at, ["config", "check"]);
    });
  });
}

/** A config whose one kind of connector or storage hangs for ever in one call. */
function hanging(at: Place, kind: "connector" | "storage", call: string): void {
  const inspected = `{
    sourceId: "hangs", flavour: "Hangs", version: "1", omissions: [], warnings: [],
    tools: [], privileges: [], capabilities: ["full"], estimatedBytes: null, clockOffsetMs: null,
  }`;
  writeFileSync(
    join(at.folder, "backup.config.ts"),
    `import { defineConfig, defineConnector, defineStorage, local, sqlite, z } from "dbbackup";
const forEver = () => new Promise<never>(() => setInterval(() => {}, 1_000_000));
const hanging = { async *[Symbol.asyncIterator]() { await forEver(); } };
const connector = defineConnector({
  ...{ kind: "hangs", title: "Hangs", schemes: ["hangs"], settings: [], omissions: [] },
  ...{ formats: [], fromUrl: () => ({}), recipe: () => [], jobName: () => "hangs" },
  options: z.strictObject({}),
  async open() {
    const call = ${JSON.stringify(call)};
    if (call === "open") await forEver();
    const good = {
      location: "hangs:", inspect: async () => (${inspected}), databases: async () => [],
      close: async () => {},
    };
    return { ...good, ...(call === "open" ? {} : { [call]: forEver }) } as never;
  },
});
const storage = defineStorage({
  ...{ kind: "stuck", title: "Stuck", schemes: ["stuck"], fromUrl: () => ({}) },
  options: z.strictObject({}),
  async open() {
    const call = ${JSON.stringify(call)};
    if (call === "open") await forEver();
    return {
      location: "stuck:", close: async () => {},
      put: async (key: string) => ({ key, bytes: 1, modifiedAt: new Date() }), stat: forEver, delete: forEver, sweep: forEver,
      list: () => hanging, get: () => hanging,
    } as never;
  },
});
export default defineConfig({
  databases: { shop: ${kind === "connector" ? "connector({})" : 'sqlite({ path: "a.db" })'} },
  destinations: { disk: ${kind === "storage" ? "storage({})" : 'local({ path: "b" })'} },
  jobs: { shop: { database: "shop", destinations: ["disk"] } },
});
`,
    { mode: 0o600 },
  );
}

for (
  const [kind, call] of [
    ["connector", "open"],
    ["connector", "inspect"],
    ["storage", "open"],
    ["storage", "get"],
  ] as const
) {
  const title = `doctor and config check can be interrupted while a ${kind} hangs in ${call}`;
  test(title, async () => {
    const at = place(`hangs-${kind}-${call}`);
    hanging(at, kind, call);
    for (const args of [["doctor"], ["config", "check", "--connect"]]) {
      const { child, ended } = starts(at, args);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      child.kill("SIGINT");
      const { code, stderr } = await ended;
      assert.equal(code, 130, stderr);
      assert.match(stderr, /interrupted\/signal/);
    }
  });
}

test("doctor says what it saw of a database whose connector never closes", async () => {
  const at = place("hangs-close");
  hanging(at, "connector", "close");
  const { stdout } = await succeeds(at, ["doctor"]);
  assert.match(stdout, /Hangs 1 at hangs:/);
});
