import type { RestorableArtifact, RestoreStep } from "../../contracts/restore.ts";
import { type ArchiveRules, rewriteArchive } from "./archive/rewrite.ts";
import type { RestoreContext } from "./context.ts";
import { feed, type FeedOutcome } from "./feed.ts";

/** How mongorestore is given an archive. */
export interface Bringing extends Partial<Omit<ArchiveRules, "onBlock">> {
  /** Those of the user come after them, each once. */
  readonly flags: readonly string[];
}

/**
 * Gives mongorestore what these steps restore of an artifact, under the names that they say.
 *
 * @throws as feed
 */
export async function bring(
  artifact: RestorableArtifact,
  steps: readonly RestoreStep[],
  { flags, ...rules }: Bringing,
  r: RestoreContext,
): Promise<FeedOutcome> {
  const names = new Map(steps.map(({ from, to }) => [from, to]));
  let at: string | undefined;
  const bytes = rewriteArchive(artifact.open(r), {
    keep: (db, collection) => names.has(db) && r.selection.has(db, collection),
    rename: (db) => names.get(db) ?? db,
    onBlock: (db, collection) => at = `${db}.${collection}`,
    onLost: (lost) =>
      lost.forEach(({ db, collection }) =>
        r.runtime.log.warn(
          '"{name}" was made while the dump began, and is not in the backup',
          { name: `${db}.${collection}` },
        )
      ),
    ...rules,
  });
  const { tool, address, client, options } = r;
  const all = [
    ...flags,
    `--numParallelCollections=${options.jobs}`,
    ...options.restoreArgs.filter((arg) => !flags.includes(arg)),
  ];
  return await feed({ tool, address, alive: client.alive, at: () => at }, bytes, all, r);
}
