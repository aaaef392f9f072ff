import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { adHocJob, databaseFromUrl } from "../../src/config/adhoc.ts";
import type { JobDefinition } from "../../src/config/model.ts";
import type { Kind, Manifest } from "../../src/contracts/manifest.ts";
import type { RunResult } from "../../src/contracts/run.ts";
import type { Strategy } from "../../src/contracts/strategy.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import { prepareRestore } from "../../src/jobs/restore/restore.ts";
import type { RestoreRequest } from "../../src/jobs/restore/types.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { connectorKinds } from "../../src/registry.ts";
import { incremental } from "../../src/strategies/incremental.ts";
import { makeNumbered, modelAt, startWriter, stateOf } from "../connectors/sqlite/numbered.ts";
import { type MemoryStorage, memoryStorage } from "../support/memoryStorage.ts";
import { tempDir } from "../support/workspace.ts";
import { contextOf, destinationOf, restoreRequest } from "./support.ts";

/** A job of a SQLite file, with a destination in memory and a clock of its own. */
export interface SqliteChain {
  readonly path: string;
  readonly storage: MemoryStorage;
  readonly o: JobContext;
  job: JobDefinition;
  /** The clock, in milliseconds; each run is a minute after the one before. */
  nowMs: number;
  run(kind?: Kind): Promise<RunResult>;
  /** A run that has to succeed. */
  take(): Promise<Manifest>;
  /** Restores to a fresh path, and returns it. */
  restore(over?: Partial<RestoreRequest>, o?: Partial<JobContext>): Promise<string>;
}

/** Makes a chain's job for a file that is there, or will be. */
export function sqliteChain(
  { path = join(tempDir("chain"), "app.db"), strategy = incremental(), over = {} }: {
    readonly path?: string;
    readonly strategy?: Strategy;
    readonly over?: Partial<JobDefinition>;
  } = {},
): SqliteChain {
  const storage = memoryStorage({ now: () => new Date(chain.nowMs) });
  const database = databaseFromUrl(`sqlite:${path}`, connectorKinds);
  const compression = { codec: "zstd" };
  const chain: SqliteChain = {
    path,
    storage,
    nowMs: Date.parse("2026-11-23T12:00:00Z"),
    o: contextOf(() => new Date(chain.nowMs)),
    job: {
      ...adHocJob(database, [destinationOf("a", storage)], {
        name: "app",
        compression,
        accept: [],
      }),
      strategy,
      ...over,
    },
    async run(kind) {
      chain.nowMs += 60_000;
      return await runBackup(chain.job, { ...chain.o, ...kind === undefined ? {} : { kind } });
    },
    async take() {
      const result = await chain.run();
      assert.equal(result.status, "success", result.error?.message);
      return result.manifest!;
    },
    async restore(over = {}, more = {}) {
      const target = join(tempDir("chain-target"), "app.db");
      const request = restoreRequest(
        chain.job.destinations,
        databaseFromUrl(`sqlite:${target}`, connectorKinds),
        over,
      );
      const prepared = await prepareRestore(request, { ...chain.o, ...more });
      try {
        await prepared.run();
        return target;
      } finally {
        await prepared.close();
      }
    },
  };
  return chain;
}

/** The folder of a backup. */
export function folderOf({ objects }: MemoryStorage, { id }: Manifest): string {
  const key = [...objects.keys()].find((key) => key.split("/")[1]?.split("_")[2] === id)!;
  return key.slice(0, key.lastIndexOf("/") + 1);
}

/**
 * Takes so many backups in one chain while another program writes, and restores each: every state has
 * to be the one that the writer made, exactly.
 */
export async function chainUnderWriter(count: number, mode: "wal" | "delete"): Promise<void> {
  const chain = sqliteChain();
  makeNumbered(chain.path, mode);
  const writer = await startWriter(chain.path);
  const taken: Manifest[] = [];
  try {
    for (let index = 0; index < count; index++) taken.push(await chain.take());
  } finally {
    await writer.stop();
  }
  const kinds = ["full", ...Array(count - 1).fill("incremental")];
  assert.deepEqual(taken.map(({ kind }) => kind), kinds);
  const model = modelAt(join(tempDir("model"), "app.db"));
  let last = 0;
  for (const { id } of taken) {
    const target = await chain.restore({ backup: id });
    const { n, content } = stateOf(target);
    assert.ok(n >= last, `${n} after ${last}`);
    assert.deepEqual(content, model(n), `the state after ${n} changes`);
    rmSync(target);
    last = n;
  }
  assert.ok(last > 4 * count, `the writer came to ${last}`);
}
