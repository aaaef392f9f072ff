import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { mariadb } from "../support/mariadb.ts";
import { needs } from "../support/needs.ts";
import { run } from "../support/run.ts";
import { binary, dbbackup, listed, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

const skip = process.getuid?.() === 0 ? false : "needs root, to change the host's name";

/** Runs the binary as in a new container: with another host name. */
async function onHost(host: string, at: Place, args: readonly string[]) {
  const script = 'hostname "$0" && exec "$@"';
  const command = ["--uts", "sh", "-c", script, host, binary, ...args];
  const result = await run("unshare", command, { cwd: at.folder, env: at.env });
  assert.equal(result.code, 0, `${result.stdout}\n${result.stderr}`);
  return result;
}

function config(at: Place, database: string): void {
  const path = join(at.folder, "backup.config.yaml");
  writeFileSync(
    path,
    `databases: { app: ${database} }
destinations: { disk: { type: local, path: ./backups } }
jobs: { app: { database: app, destinations: [disk], retention: { last: 1 } } }`,
  );
  chmodSync(path, 0o600);
}

describe("one database from ever new containers", () => {
  test("is one source: retention keeps 1 of 7 runs, and restore takes the newest", {
    skip,
  }, async () => {
    const at = place("containers");
    const path = join(at.folder, "app.db");
    makeSqlite(path);
    config(at, "{ type: sqlite, path: app.db }");
    for (let number = 1; number <= 7; number++) {
      await onHost(`pod-${number}`, at, ["backup", "app"]);
    }
    assert.equal((await listed(at, "./backups")).length, 1);
    const before = ordersOf(path);
    await onHost("pod-8", at, ["restore", "app", "--overwrite", "--yes"]);
    assert.equal(ordersOf(path), before);
  });

  needs("mariadb")("is one source by mysql:// and by mariadb://", async () => {
    if (skip !== false) return;
    const server = await mariadb();
    const database = await server.createDatabase();
    await server.sql(database, "CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)");
    const at = place("schemes", {
      PATH: `${server.binDir}:${process.env["PATH"]}`,
      DB_PASSWORD: server.password,
    });
    for (const [number, type] of ["mysql", "mariadb", "mysql"].entries()) {
      const { host, port, user } = server;
      config(
        at,
        `{ type: ${type}, host: ${host}, port: ${port}, user: ${user}, database: ${database}, ` +
          "password: '${DB_PASSWORD}' }",
      );
      await onHost(`pod-${number}`, at, ["backup", "app"]);
    }
    const result = await succeeds(at, ["list", "--json"]);
    const backups = result.json() as { source: { id: string; kind: string } }[];
    assert.deepEqual(backups.map(({ source: { id, kind } }) => [kind, id]), [
      ["mariadb", `${server.host}:${server.port}`],
    ]);
  });
});

describe("--source", () => {
  test("names an ad-hoc database among the backups; a job has it in the config", async () => {
    const at = place("named");
    makeSqlite(join(at.folder, "app.db"));
    const args = ["backup", "--from", "sqlite:app.db", "--to", "b", "--source", "till 3"];
    await succeeds(at, args);
    const result = await succeeds(at, ["list", "--from", "b", "--json"]);
    const backups = result.json() as { source: { id: string } }[];
    assert.deepEqual(backups.map(({ source }) => source.id), ["till 3"]);
    config(at, "{ type: sqlite, path: app.db, source: till }");
    const refused = await dbbackup(at, ["backup", "app", "--source", "x"]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /usage\/source/);
    assert.match(
      (await succeeds(at, ["doctor"])).stdout,
      /identified by its source, "till"/,
    );
  });
});
