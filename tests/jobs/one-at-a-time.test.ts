import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { JobDefinition } from "../../src/config/model.ts";
import type { Connector } from "../../src/contracts/connector.ts";
import type { SourceInfo } from "../../src/contracts/source.ts";
import { BackupError } from "../../src/core/errors.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import {
  backupHolds,
  type DatabaseHold,
  restoreHolds,
  withDatabases,
} from "../../src/jobs/shared/database-lock.ts";
import { prepareRestore } from "../../src/jobs/restore/restore.ts";
import type { RestoreRequest } from "../../src/jobs/restore/types.ts";
import { makeSqlite } from "../e2e/support/sqlite.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { tempDir } from "../support/workspace.ts";
import { backUp, contextOf, jobOf, restoreRequest } from "./support.ts";

const never = { work: () => assert.fail("both have the database") };
const locked = { code: "locked/database" };

const info: SourceInfo = {
  ...{ sourceId: "server-1", flavour: "", version: "", tools: [], privileges: [], omissions: [] },
  ...{ capabilities: ["full"], clockOffsetMs: 0, warnings: [] },
};

function planOf(to: readonly string[], o: { sourceId?: string; locks?: string[] }) {
  const steps = to.map((name) => ({ from: name, to: name, mode: "create" } as const));
  return { steps, isCheckedFirst: false, warnings: [], target: "", ...o };
}

/** Whether two runs may use these at the same time. */
async function mayOverlap(one: DatabaseHold[], other: DatabaseHold[]): Promise<boolean> {
  const o = contextOf();
  const use = (holds: DatabaseHold[]) => ({ run: "r", what: "restore of backup b", holds });
  return await withDatabases(use(one), o, async () => {
    try {
      return await withDatabases(use(other), o, () => Promise.resolve(true));
    } catch (error) {
      assert.throws(() => {
        throw error;
      }, locked);
      return false;
    }
  });
}

describe("runs of one database", () => {
  const shop = backupHolds(info, ["shop"], "pg://app@db:5432/shop");

  test("do not overlap, however their URLs spell the server", async () => {
    const other = backupHolds(info, ["shop"], "pg://root@10.0.0.7/shop");
    assert.equal(await mayOverlap(shop, other), false);
    const restore = restoreHolds(planOf(["shop"], { sourceId: "server-1" }), "pg:///shop");
    assert.equal(await mayOverlap(shop, restore), false);
    assert.equal(await mayOverlap(restore, shop), false);
  });

  test("overlap with those of another database, or of another server", async () => {
    assert.equal(await mayOverlap(shop, backupHolds(info, ["blog"], "pg://db")), true);
    const blog = restoreHolds(planOf(["blog"], { sourceId: "server-1" }), "pg://db");
    assert.equal(await mayOverlap(shop, blog), true);
    const twin = { ...info, sourceId: "server-2" };
    assert.equal(await mayOverlap(shop, backupHolds(twin, ["shop"], "pg://db2/shop")), true);
  });

  test("a whole server's, and one of its databases", async () => {
    const some = backupHolds(info, ["blog", "shop"], "pg://db");
    assert.equal(await mayOverlap(some, shop), false);
    const many = Array.from({ length: 1_500 }, (_, index) => `tenant_${index}`);
    const all = backupHolds(info, many, "pg://db");
    assert.equal(await mayOverlap(all, backupHolds(info, ["tenant_7"], "pg://db/7")), false);
    assert.equal(await mayOverlap(shop, all), false, "in either order");
    assert.ok(all.length < 10, "without a file for each");
  });

  test("a restore by a connector that cannot tell the server takes the place alone", async () => {
    const blind = restoreHolds(planOf(["x"], {}), "pg://app@db:5432/shop");
    assert.equal(await mayOverlap(shop, blind), false);
    assert.equal(await mayOverlap(blind, shop), false);
  });
});

function requestOf(job: JobDefinition, path: string, over: Partial<RestoreRequest> = {}) {
  const target = { ...job.database, options: { path } };
  return restoreRequest(job.destinations, target, { isOverwrite: true, ...over });
}

describe("a restore whose plan was shown", () => {
  test("changes nothing when a database came to be there meanwhile", async () => {
    const job = jobOf({ a: memoryStorage() });
    const o = contextOf();
    await backUp(job, o);
    const path = join(tempDir("target"), "back.db");
    for (const isOverwrite of [true, false]) {
      rmSync(path, { force: true });
      const prepared = await prepareRestore(requestOf(job, path, { isOverwrite }), o);
      makeSqlite(path, 1);
      const before = readFileSync(path);
      await assert.rejects(prepared.run(), {
        code: isOverwrite ? "restore/changed" : "restore/not-empty",
        ...isOverwrite ? { message: /back\.db" was to be created, and would now be swapped/ } : {},
      });
      await prepared.close();
      assert.deepEqual(readFileSync(path), before);
    }
  });

  test("goes on when what was to be swapped is still the same database", async () => {
    const job = jobOf({ a: memoryStorage() });
    const o = contextOf();
    await backUp(job, o);
    const path = join(tempDir("target"), "back.db");
    makeSqlite(path, 1);
    const prepared = await prepareRestore(requestOf(job, path), o);
    const { steps } = await prepared.run();
    await prepared.close();
    assert.equal(steps[0]?.mode, "swap");
  });

  test("waits for nobody, and does not begin while a backup reads the database", async () => {
    const a = memoryStorage();
    const job = jobOf({ a });
    const o = contextOf();
    await backUp(job, o);
    const { promise: dumping, resolve: begin } = Promise.withResolvers<void>();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { kind } = job.database;
    const held: typeof kind = {
      ...kind,
      async open(options, oo) {
        const inner: Connector = await kind.open(options, oo);
        const dump: Connector["dump"] = async (...given) => {
          begin();
          await gate;
          return await inner.dump(...given);
        };
        return { ...inner, dump };
      },
    };
    const other = { ...job, name: "other", database: { ...job.database, kind: held } };
    const running = runBackup(other, o);
    await dumping;
    const { path } = job.database.options as { path: string };
    const prepared = await prepareRestore(requestOf(job, path, { job: "shop" }), o);
    await assert.rejects(prepared.run(), {
      ...locked,
      message: /in use by run \w+ \(backup of job "other", process \d+, since /,
    });
    open();
    assert.equal((await running).status, "success");
    await prepared.run();
    await prepared.close();
  });

  test("names the run that has the database, where the server only knows that it is in use", async () => {
    const job = jobOf({ a: memoryStorage() });
    const o = contextOf();
    await backUp(job, o);
    const { kind, options } = job.database;
    const { path } = options as { path: string };
    const inUse: typeof kind = {
      ...kind,
      open: async (given, oo) => ({
        ...await kind.open(given, oo),
        planRestore: () => Promise.reject(new BackupError("restore/in-use", "somebody is there")),
      }),
    };
    const request = { ...requestOf(job, path), target: { ...job.database, kind: inUse } };
    await assert.rejects(prepareRestore(request, o), { code: "restore/in-use" });
    const holds = [{ id: `database ${path}`, isShared: false }];
    const use = { run: "r1", what: 'backup of job "nightly"', holds };
    await withDatabases(use, o, async () => {
      await assert.rejects(prepareRestore(request, o), {
        ...locked,
        message: /in use by run r1 \(backup of job "nightly"/,
      });
    });
  });

  test("leaves what an earlier one left, when that is gone by then", async () => {
    const job = jobOf({ a: memoryStorage() });
    const o = contextOf();
    await backUp(job, o);
    const folder = tempDir("adopts");
    mkdirSync(join(folder, "x"));
    const [path, left] = [join(folder, "back.db"), join(folder, "left.db")];
    writeFileSync(left, "");
    const { kind } = job.database;
    const adopting: typeof kind = {
      ...kind,
      async open(options, oo) {
        const inner: Connector = await kind.open(options, oo);
        return {
          ...inner,
          async planRestore(...given) {
            const plan = await inner.planRestore(...given);
            const [step] = plan.steps;
            return existsSync(left) ? { ...plan, steps: [{ ...step!, adopts: left }] } : plan;
          },
          restore: never.work,
        };
      },
    };
    const request = requestOf(job, path);
    const target = { ...request.target, kind: adopting };
    const prepared = await prepareRestore({ ...request, target }, o);
    rmSync(left);
    await assert.rejects(prepared.run(), {
      code: "restore/changed",
      message: /was to be taken from ".*left\.db", and would now be created/,
    });
    await prepared.close();
  });
});
