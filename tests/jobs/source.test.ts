import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { databaseFromUrl, databaseWithSource } from "../../src/config/adhoc.ts";
import type { JobDefinition } from "../../src/config/model.ts";
import type { SourceInfo } from "../../src/contracts/source.ts";
import { parseManifest } from "../../src/catalog/manifest.ts";
import { env } from "../../src/core/secret.ts";
import type { Machine } from "../../src/core/machine.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import { identifySource } from "../../src/jobs/shared/source.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { connectorKinds } from "../../src/registry.ts";
import { makeSqlite } from "../e2e/support/sqlite.ts";
import { type MemoryStorage, memoryStorage } from "../support/memoryStorage.ts";
import { testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";
import { contextOf, jobOf } from "./support.ts";

const silent = {} as SourceInfo;

async function idOf(url: string, options: object = {}, info = silent): Promise<string> {
  const database = databaseFromUrl(url, connectorKinds);
  const whole = { ...database, options: { ...database.options as object, ...options } };
  const runtime = testRuntime({ env: { URL_OF_IT: "mariadb://me:secret@Db/shop?x=y" } });
  const { kind, id, by } = await identifySource(whole, info, { runtime });
  return `${by} ${kind} ${id}`;
}

/** The files of the backups at a storage, as the manifests have them. */
function manifestsAt({ objects }: MemoryStorage) {
  return [...objects].filter(([key]) => key.endsWith("/manifest.json"))
    .map(([key, { body }]) => parseManifest(body, key));
}

let minutes = 0;
const now = () => new Date(Date.parse("2026-11-01T00:00:00Z") + minutes * 60_000);

/** Runs on this machine a minute later than the last run. */
function runner() {
  const stateDir = join(tempDir("state"), "dbbackup");
  return async (job: JobDefinition, machine: Machine) => {
    minutes++;
    const o: JobContext = {
      ...contextOf(now, stateDir),
      runtime: testRuntime({ now, machine }),
    };
    return await runBackup(job, o);
  };
}

describe("a source is identified", () => {
  test("by what the server says, whatever the config says", async () => {
    const info = { sourceId: "a-uuid" } as SourceInfo;
    assert.equal(await idOf("mysql://db/shop", { source: "x" }, info), "server mysql a-uuid");
  });

  test("by source in the config, where the server says nothing", async () => {
    assert.equal(await idOf("sqlite:./app.db", { source: "app" }), "name sqlite app");
    assert.equal(await idOf("mongodb://a:1,b:2/", { source: "events" }), "name mongodb events");
  });

  for (
    const [url, id] of [
      ["mariadb://me:secret@Db.Example/shop?sslmode=require", "db.example:3306"],
      ["mariadb://other@db.example:3306/wiki", "db.example:3306"],
      ["mariadb:///shop?socket=/run/mysqld.sock", "/run/mysqld.sock"],
      ["mariadb:///", "localhost:3306"],
      ["mariadb://[::1]/", "::1:3306"],
      ["mongodb://me:secret@a:27017,B:27018/?replicaSet=rs0", "a:27017,b:27018"],
      ["mongodb://a,b:1/", "a:27017,b:1"],
      ["postgres://h/x", "h:5432"],
      ["sqlite:./data//app.db", "data/app.db"],
      ["sqlite:/srv/app.db", "/srv/app.db"],
    ] as const
  ) {
    test(`else by what is declared: ${url}`, async () => {
      const kind = url.slice(0, url.indexOf(":"));
      assert.equal(await idOf(url), `declaration ${kind} ${id}`);
    });
  }

  test("by a URL that is a reference, without its secrets", async () => {
    const url = env("URL_OF_IT");
    assert.equal(await idOf("mariadb://x/", { url }), "declaration mariadb db:3306");
  });

  test("alike by both schemes, since the kind is what the server is", async () => {
    const info = { kind: "mariadb" } as SourceInfo;
    assert.equal(
      await idOf("mysql://db/shop", {}, info),
      await idOf("mariadb://db/shop", {}, info),
    );
  });
});

describe("machines that write one job to one place", () => {
  const id = { a: "aaaaaaaaaaaaaaaa", b: "bbbbbbbbbbbbbbbb" };

  test("are one source while containers come and go: retention keeps what it is told", async () => {
    const storage = memoryStorage({ now });
    const retention = { policy: { last: 1 }, destinations: new Map() };
    const [job, runOn] = [jobOf({ storage }, { retention }), runner()];
    for (let number = 1; number <= 7; number++) {
      const result = await runOn(job, { host: `pod-${number}`, id: undefined });
      assert.equal(result.status, "success", result.error?.message);
      assert.deepEqual(result.warnings, []);
    }
    assert.deepEqual(manifestsAt(storage).map(({ writer }) => writer?.host), ["pod-7"]);
  });

  test("are told so before anything is mixed, and how to go on", async () => {
    const storage = memoryStorage({ now });
    const retention = { policy: { last: 1 }, destinations: new Map() };
    const [job, runOn] = [jobOf({ storage }, { retention }), runner()];
    await runOn(job, { host: "web-1", id: id.a });
    const result = await runOn(job, { host: "web-2", id: id.b });
    assert.equal(result.status, "failure");
    assert.equal(result.error?.code, "config/two-sources");
    assert.match(result.error.message, /job "shop" .* by web-1:.* and this is web-2:/);
    assert.deepEqual(manifestsAt(storage).map(({ writer }) => writer?.host), ["web-1"]);

    const named = { ...job, database: databaseWithSource(job.database, "web-2") };
    assert.equal((await runOn(named, { host: "web-2", id: id.b })).status, "success");
    assert.equal(manifestsAt(storage).length, 2, "retention keeps the newest of each");

    const [path] = /(?<=source: ")[^"]+(?=" goes on)/.exec(result.error.hint ?? "") ?? [];
    const moved = { ...job, database: databaseWithSource(job.database, path!) };
    assert.equal((await runOn(moved, { host: "web-2", id: id.b })).status, "success");
    const hosts = manifestsAt(storage).map(({ writer }) => writer?.host);
    assert.deepEqual(hosts, ["web-2", "web-2"], "the history of web-1 goes on");
  });

  test("fail only at the destination that they share", async () => {
    const [own, other, shared] = ["own", "other", "shared"].map((location) =>
      memoryStorage({ location, now })
    ) as [MemoryStorage, MemoryStorage, MemoryStorage];
    const [first, runOn] = [jobOf({ own, shared }), runner()];
    await runOn(first, { host: "web-1", id: id.a });
    const second = { ...jobOf({ other, shared }), database: first.database };
    const result = await runOn(second, { host: "web-2", id: id.b });
    assert.equal(result.status, "partial");
    const failed = result.destinations.find(({ status }) => status === "failed");
    assert.ok(failed?.status === "failed" && failed.name === "shared");
    assert.equal(failed.error.code, "config/two-sources");
    assert.equal(manifestsAt(other).length, 1);
  });

  test("without ids of their own are warned of when a name comes back, then refused", async () => {
    const storage = memoryStorage({ now });
    const [job, runOn] = [jobOf({ storage }), runner()];
    const [a, b] = ["pod-a", "pod-b"].map((host) => ({ host, id: undefined })) as [
      Machine,
      Machine,
    ];
    assert.deepEqual((await runOn(job, a)).warnings, []);
    assert.deepEqual((await runOn(job, b)).warnings, []);
    const back = await runOn(job, a);
    assert.equal(back.status, "success");
    assert.match(back.warnings.join(), /are by pod-b:.* and this is pod-a:/);
    const turns = await runOn(job, b);
    assert.equal(turns.error?.code, "config/two-sources");
  });

  test("are two sources on one machine, where one relative path means two files", async () => {
    const storage = memoryStorage({ now });
    const [folder, other, runOn] = [tempDir("a"), tempDir("b"), runner()];
    makeSqlite(join(folder, "app.db"), 1);
    copyFileSync(join(folder, "app.db"), join(other, "app.db"));
    const job = (where: string) => {
      const database = databaseFromUrl("sqlite:app.db", connectorKinds);
      const options = { path: join(where, "app.db") };
      return jobOf({ storage }, { database: { ...database, options, written: database.options } });
    };
    const machine = { host: "web-1", id: id.a };
    assert.equal((await runOn(job(folder), machine)).status, "success");
    const result = await runOn(job(other), machine);
    assert.equal(result.error?.code, "config/two-sources");
    assert.equal((await runOn(job(folder), machine)).status, "success");
  });
});
