import type { Abortable, Bytes } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { RestorableArtifact, RestoreOptions, RestoreStep } from "../../contracts/restore.ts";
import { type ArchiveRules, rewriteArchive } from "./archive/rewrite.ts";
import type { Client } from "./client.ts";
import type { Selection } from "./selection.ts";
import type { MongoAddress } from "./uri.ts";

/** What every part of a restore needs. */
export interface RestoreContext extends Abortable {
  readonly runtime: Runtime;
  readonly client: Client;
  readonly address: MongoAddress;
  /** The path of mongorestore. */
  readonly tool: string;
  readonly selection: Selection;
  readonly options: RestoreOptions;
}

/** The artifact's bytes, with only what these steps restore, under the names that they say. */
export function chosen(
  artifact: RestorableArtifact,
  steps: readonly RestoreStep[],
  r: RestoreContext,
  more: Partial<ArchiveRules> = {},
): Bytes {
  const names = new Map(steps.map(({ from, to }) => [from, to]));
  return rewriteArchive(artifact.open(r), {
    keep: (db, collection) => names.has(db) && r.selection.has(db, collection),
    rename: (db) => names.get(db) ?? db,
    onLost: (lost) =>
      lost.forEach(({ db, collection }) =>
        r.runtime.log.warn(
          '"{name}" was made while the dump began, and is not in the backup',
          { name: `${db}.${collection}` },
        )
      ),
    ...more,
  });
}

/** The flag for parallel collections. */
export function workers({ jobs }: RestoreOptions): string[] {
  return [`--numParallelCollections=${jobs}`];
}
