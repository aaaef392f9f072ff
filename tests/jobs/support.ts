import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { markName, parseMarkName } from "../../src/catalog/mark-names.ts";
import { parseSealName } from "../../src/catalog/seal.ts";
import { sealNameFor } from "../support/seals.ts";
import { backupPrefix } from "../../src/catalog/names.ts";
import { adHocJob, databaseFromUrl } from "../../src/config/adhoc.ts";
import type {
  DatabaseDefinition,
  DestinationDefinition,
  JobDefinition,
} from "../../src/config/model.ts";
import type { Storage } from "../../src/contracts/storage.ts";
import type { BackupRef } from "../../src/contracts/strategy.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import type { RestoreRequest } from "../../src/jobs/restore/types.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { connectorKinds } from "../../src/registry.ts";
import { makeSqlite } from "../e2e/support/sqlite.ts";
import type { MemoryStorage } from "../support/memoryStorage.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";

/** A destination that opens as this storage. */
export function destinationOf(name: string, storage: Storage): DestinationDefinition {
  return {
    name,
    kind: {
      kind: "memory",
      schemes: [],
      options: z.unknown(),
      fromUrl: () => ({}),
      open: () => Promise.resolve({ ...storage, close: () => Promise.resolve() }),
    },
    options: {},
  };
}

/** A destination that cannot be opened. */
export function unreachable(name: string, error: Error): DestinationDefinition {
  const storage = destinationOf(name, {} as Storage);
  return { ...storage, kind: { ...storage.kind, open: () => Promise.reject(error) } };
}

/** What a job gets, with a state folder of its own and this clock. */
export function contextOf(
  now?: () => Date,
  stateDir = join(tempDir("state"), "dbbackup"),
): JobContext {
  return { runtime: testRuntime(now === undefined ? {} : { now }), signal: never, stateDir };
}

/** Puts the files of a backup as a LIST is to tell them; their content means nothing. */
export function store(storage: MemoryStorage, ...refs: readonly BackupRef[]): void {
  for (const { prefix, files, marks, createdAt } of refs) {
    const names = [...files.keys(), ...marks.map(markName)];
    for (const name of names) {
      storage.objects.set(prefix + name, { body: new Uint8Array(1), modifiedAt: createdAt });
    }
  }
}

/** A job that backs a small SQLite database up to these storages, in blocks without compression. */
export function jobOf(
  storages: Readonly<Record<string, Storage>>,
  over: Partial<JobDefinition> = {},
): JobDefinition {
  const path = join(tempDir("database"), "shop.db");
  makeSqlite(path, 1);
  const destinations = Object.entries(storages).map(([name, one]) => destinationOf(name, one));
  const database = databaseFromUrl(`sqlite:${path}`, connectorKinds);
  const compression = { codec: "none" };
  return {
    ...adHocJob(database, destinations, { name: "shop", compression, accept: [] }),
    volumeBytes: 300_000,
    ...over,
  };
}

/** A restore into this target with nothing that widens it. */
export function restoreRequest(
  destinations: readonly DestinationDefinition[],
  target: DatabaseDefinition,
  over: Partial<RestoreRequest> = {},
): RestoreRequest {
  return {
    destinations,
    target,
    only: [],
    isOverwrite: false,
    isWithAccounts: false,
    isDifferenceAccepted: false,
    isKeepGoing: false,
    jobs: 1,
    restoreArgs: [],
    ...over,
  };
}

/** Runs a job, which has to succeed, and returns the folder of its backup. */
export async function backUp(job: JobDefinition, o: JobContext): Promise<string> {
  const result = await runBackup(job, o);
  assert.equal(result.status, "success", result.error?.message);
  const { id, startedAt, kind, source: { tag: sourceTag } } = result.manifest!;
  const name = { startedAt: new Date(startedAt), kind, id, sourceTag, parentId: undefined };
  return backupPrefix({ job: job.name, ...name });
}

/** Writes a manifest anew, with a seal that fits it: what somebody does who knows the format. */
export function writeManifest(
  { objects }: MemoryStorage,
  prefix: string,
  manifest: unknown,
  modifiedAt = new Date(),
): void {
  const body = new TextEncoder().encode(JSON.stringify(manifest));
  for (const key of objects.keys()) {
    if (key.startsWith(prefix) && parseSealName(key.slice(prefix.length)) !== undefined) {
      objects.delete(key);
    }
  }
  const seal = sealNameFor(body);
  objects.set(prefix + seal, { body: new Uint8Array(1), modifiedAt });
  objects.set(`${prefix}manifest.json`, { body, modifiedAt });
}

/** The keys of a storage with their content, without marks. */
export function contentOf({ objects }: MemoryStorage): Record<string, string> {
  return Object.fromEntries(
    [...objects].filter(([key]) => parseMarkName(key.split("/").at(-1)!) === undefined)
      .sort(([a], [b]) => a < b ? -1 : 1)
      .map(([key, { body }]) => [key, createHash("sha256").update(body).digest("hex")]),
  );
}

/** The types of the marks in a folder. */
export function marksIn({ objects }: MemoryStorage, prefix: string): string[] {
  return [...objects.keys()].filter((key) => key.startsWith(prefix))
    .flatMap((key) => parseMarkName(key.slice(prefix.length))?.type ?? []);
}

/** Turns one bit of an object over. */
export function flipBit({ objects }: MemoryStorage, key: string, offset = 1000): void {
  objects.get(key)!.body[offset]! ^= 1;
}
