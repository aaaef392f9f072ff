import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { copyFileSync, cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "node:test";
import type { Need } from "../support/installed.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startMysql } from "../support/mysql.ts";
import { needs } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { run } from "../support/run.ts";
import { tempDir } from "../support/workspace.ts";
import { filesBelow, type Place, place, succeeds } from "./support/cli.ts";
import { engines, freshDatabase } from "./support/engines.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

const codecs = ["gzip", "zstd", "none"] as const;

/** The one backup of a place, in several volumes, copied to where RESTORE.txt wants to be run. */
async function backUp(at: Place, database: string, codec: string): Promise<string> {
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases: { shop: ${database} }
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk], compression: ${codec}, volumeSize: 40KiB } }
`,
    { mode: 0o600 },
  );
  await succeeds(at, ["run", "--once"]);
  const backups = join(at.folder, "backups");
  const text = filesBelow(backups).find((file) => file.endsWith("/RESTORE.txt"))!;
  const volumes = filesBelow(backups).filter((file) => /dump-\d+-.*\.v\d+$/.test(file));
  assert.ok(volumes.length >= 2, `several volumes: ${filesBelow(backups).join(", ")}`);
  const copy = join(tempDir("restore-text"), "backup");
  cpSync(join(backups, text, ".."), copy, { recursive: true });
  return copy;
}

/** Runs RESTORE.txt as it is, by `sh`. */
async function follow(folder: string, env: Record<string, string | undefined>): Promise<string> {
  const { code, stdout, stderr } = await run("sh", ["RESTORE.txt"], { cwd: folder, env });
  const printed = `${readFileSync(join(folder, "RESTORE.txt"), "utf8")}\n${stdout}\n${stderr}`;
  assert.equal(code, 0, printed);
  assert.match(stdout, /: OK$/m, "the digests are checked first");
  return stdout;
}

describe("RESTORE.txt, run by sh as it is written,", () => {
  for (const codec of codecs) {
    needs("sqlite3", "zstd", "gzip")(`restores SQLite from ${codec}`, async () => {
      const at = place(`restore-text-sqlite-${codec}`);
      makeSqlite(join(at.folder, "shop.db"));
      const folder = await backUp(at, "{ type: sqlite, path: shop.db }", codec);
      assert.match(await follow(folder, at.env), /^ok$/m);
      assert.equal(ordersOf(join(folder, "restored.db")), ordersOf(join(at.folder, "shop.db")));
    });

    for (const engine of engines) {
      needs(...engine.needs, "zstd", "gzip")(`restores ${engine.name} from ${codec}`, async () => {
        const server = await engine.server();
        const database = freshDatabase();
        await server.fill(database, 300);
        const before = await server.rows(database);
        const at = place(`restore-text-${engine.type}-${codec}`, {
          SHOP_URL: server.url(database),
        });
        const folder = await backUp(
          at,
          `{ type: ${engine.type}, url: "\${SHOP_URL}", toolsDir: ${server.toolsDir} }`,
          codec,
        );
        await server.drop(database);
        const path = `${server.toolsDir}:${at.env["PATH"]}`;
        await follow(folder, { ...at.env, PATH: path, ...server.prepareShell(at.env["HOME"]!) });
        assert.equal(await server.rows(database), before);
      });
    }
  }
});

describe("RESTORE.txt of a backup with a damaged file", () => {
  async function damaged(name: string): Promise<{ folder: string; at: Place }> {
    const at = place(name);
    makeSqlite(join(at.folder, "shop.db"));
    const folder = await backUp(at, "{ type: sqlite, path: shop.db }", "none");
    const volume = filesBelow(folder).find((file) => /dump-001-.*\.v002$/.test(file))!;
    const content = readFileSync(join(folder, volume));
    content[100]! ^= 1;
    writeFileSync(join(folder, volume), content);
    return { folder, at };
  }

  for (const shell of ["sh", "bash"] as const) {
    needs("sqlite3")(`stops there as a script of ${shell}`, async () => {
      const { folder, at } = await damaged(`restore-text-damaged-${shell}`);
      const o = { cwd: folder, env: at.env };
      const { code, stdout, stderr } = await run(shell, ["RESTORE.txt"], o);
      assert.notEqual(code, 0);
      assert.match(stdout, /v002: FAILED/);
      assert.match(stderr, /^STOP: these files are not whole\./m);
      assert.ok(!existsSync(join(folder, "restored.db")));
    });
  }

  needs("sqlite3")("does not close the shell that it is pasted into", async () => {
    const { folder, at } = await damaged("restore-text-pasted");
    const input = `${
      readFileSync(join(folder, "RESTORE.txt"), "utf8")
    }\necho "still $((40 + 2))"\n`;
    const args = ["--norc", "--noprofile", "-i"];
    const o = { cwd: folder, env: at.env, input };
    const { stdout, stderr } = await run("bash", args, o);
    assert.match(stderr, /STOP: these files are not whole\./);
    assert.match(stdout, /^still 42$/m);
  });
});

/** Two servers of a kind, the second an empty one, and how its client is told where it is. */
const wholeServers: Record<
  string,
  { needed: readonly Need[]; start(): Promise<WholeServer>; sql: (name: string) => string }
> = {
  ...Object.fromEntries(([15, 18] as const).map((version) => [`PostgreSQL ${version}`, {
    needed: [`postgres${version}`] as const,
    sql: (name: string) => `CREATE DATABASE "${name.replaceAll('"', '""')}"`,
    async start() {
      const server = await startPostgres(version);
      const { host, port, user, password } = server;
      return {
        type: "postgres",
        url: server.url("").replace(/\/\?/, "?"),
        toolsDir: server.binDir,
        run: async (database: string, text: string) =>
          await server.psql(database === "" ? "postgres" : database, text),
        user: (name: string) => `CREATE ROLE ${name} LOGIN PASSWORD 'p'`,
        users: "SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolname LIKE 'kept%'",
        shell: () => ({
          ...{ PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password },
        }),
      };
    },
  }])),
  ...Object.fromEntries(
    ([["mariadb", startMariadb], ["mysql", startMysql]] as const).map(([type, start]) => [type, {
      needed: [type] as const,
      sql: (name: string) => `CREATE DATABASE \`${name.replaceAll("`", "``")}\``,
      async start() {
        const server = await start();
        return {
          type,
          url: server.url(""),
          toolsDir: server.binDir,
          run: async (database: string, text: string) => await server.sql(database, text),
          user: (name: string) => `CREATE USER ${name} IDENTIFIED BY 'p'`,
          users: "SELECT GROUP_CONCAT(user) FROM mysql.user WHERE user LIKE 'kept%'",
          shell(home: string) {
            copyFileSync(server.defaultsFile, join(home, ".my.cnf"));
            return {};
          },
        };
      },
    }]),
  ),
};

interface WholeServer {
  readonly type: string;
  readonly url: string;
  readonly toolsDir: string;
  run(database: string, sql: string): Promise<string>;
  user(name: string): string;
  readonly users: string;
  shell(home: string): Record<string, string>;
}

describe("RESTORE.txt of a whole server, encrypted,", () => {
  for (const [name, { needed, start, sql }] of Object.entries(wholeServers)) {
    needs(...needed, "age", "zstd")(
      `restores accounts and databases with hard names on an empty ${name}`,
      async () => {
        const [source, target] = [await start(), await start()];
        const database = `it's "my" $HOME \`shop\``;
        await source.run("", sql(database));
        const rows = Array.from(
          { length: 240 },
          (_, n) => `(${n}, '${randomBytes(500).toString("hex")}')`,
        );
        await source.run(database, "CREATE TABLE t (n int PRIMARY KEY, noise text)");
        await source.run(database, `INSERT INTO t VALUES ${rows.join(", ")}`);
        await source.run("", source.user("kept"));
        if (source.type === "postgres") {
          await source.run("postgres", "CREATE TABLE jobs (n int)");
          await source.run("template1", "CREATE EXTENSION pg_trgm");
        }
        const at = place(`restore-text-whole-${name}`, { SERVER_URL: source.url });
        const key = (await succeeds(at, ["key", "new"])).stdout;
        writeFileSync(join(at.folder, "key.txt"), key, { mode: 0o600 });
        const recipient = /age1\w+/.exec(key)![0];
        const folder = await backUp(
          at,
          `{ type: ${source.type}, url: "\${SERVER_URL}", toolsDir: ${source.toolsDir} }`,
          `zstd, encryption: { recipients: [${recipient}] }`,
        );
        const env = {
          ...{ ...at.env, ...target.shell(at.env["HOME"]!) },
          ...{ PATH: `${source.toolsDir}:${at.env["PATH"]}` },
          AGE_IDENTITY: join(at.folder, "key.txt"),
        };
        await follow(folder, env);
        const select = "SELECT * FROM t ORDER BY n";
        assert.equal(await target.run(database, select), await source.run(database, select));
        assert.match(await target.run("", target.users), /kept/);
        if (target.type === "postgres") {
          assert.equal(await target.run("postgres", "SELECT count(*) FROM jobs"), "0");
          assert.match(await target.run("template1", "SELECT extname FROM pg_extension"), /trgm/);
        }
      },
    );
  }
});
