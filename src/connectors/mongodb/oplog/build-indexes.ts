import type { RestoreFailure, RestoreOptions } from "../../../contracts/restore.ts";
import { BackupError, hasCode } from "../../../core/errors.ts";
import { find, text } from "../archive/bson.ts";
import type { Replay } from "./replay.ts";
import type { Namespace, ReplaySink } from "./sink.ts";

/**
 * Builds the indexes that a replay has kept account of; those with a time to live last of all, since
 * the server removes documents by them at once.
 *
 * @returns those that failed, where the restore keeps going
 * @throws BackupError `restore/failed`
 */
export async function buildIndexes(
  under: Replay,
  sink: ReplaySink,
  { isKeepGoing, restoreArgs }: Pick<RestoreOptions, "isKeepGoing" | "restoreArgs">,
): Promise<RestoreFailure[]> {
  if (restoreArgs.includes("--noIndexRestore")) return [];
  const failures: RestoreFailure[] = [];

  async function build(target: Namespace, definitions: readonly Uint8Array[]): Promise<void> {
    if (definitions.length === 0) return;
    try {
      await sink.createIndexes(target, definitions);
    } catch (error) {
      if (!hasCode(error, "restore/failed")) throw error;
      if (definitions.length > 1) {
        // One by one, to tell which.
        for (const definition of definitions) await build(target, [definition]);
        return;
      }
      const name = text(find(definitions[0]!, "name")) ?? "";
      const message = error.cause instanceof Error ? error.cause.message : error.message;
      if (!isKeepGoing) {
        throw new BackupError(
          "restore/failed",
          `Index "${name}" of "${target.db}.${target.collection}" cannot be built: ${message}`,
          {
            cause: error,
            hint:
              "The target may lack such indexes: then --keep-going leaves them out, and lists them.",
          },
        );
      }
      const object = `index ${target.collection}.${name}`;
      failures.push({ database: target.db, object, message, leaves: "It is missing." });
    }
  }

  const all = under.indexes();
  for (const isLast of [false, true]) {
    for (const { target, definitions } of all) {
      await build(target, definitions.filter((one) => isExpiring(one) === isLast));
    }
  }
  return failures;
}

function isExpiring(definition: Uint8Array): boolean {
  return find(definition, "expireAfterSeconds") !== undefined;
}
