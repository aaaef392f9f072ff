import { join } from "node:path";
import { z } from "zod";
import type { DestinationDefinition } from "../../src/config/model.ts";
import type { Storage } from "../../src/contracts/storage.ts";
import type { BackupRef } from "../../src/contracts/strategy.ts";
import { markName } from "../../src/catalog/mark-names.ts";
import type { JobContext } from "../../src/jobs/types.ts";
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
