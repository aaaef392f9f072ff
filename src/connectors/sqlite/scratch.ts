import { join } from "node:path";
import type { Scratch, ScratchOrder } from "../../contracts/connector.ts";
import { BackupError } from "../../core/errors.ts";
import { withTempDir } from "../../core/temp.ts";
import { openDatabase, SqliteError } from "./database.ts";
import type { SqliteOptions } from "./options.ts";

/** A file in the temporary folder, for a drill. */
export async function scratch(
  options: SqliteOptions,
  { runtime, signal, rawBytes }: ScratchOrder,
): Promise<Scratch<SqliteOptions>> {
  const { promise: removing, resolve: remove } = Promise.withResolvers<void>();
  const { promise: made, resolve: onMade, reject: onFailed } = Promise.withResolvers<string>();
  const removed = withTempDir(runtime, rawBytes, async (folder) => {
    onMade(folder);
    await removing;
  });
  removed.catch(onFailed);
  signal.throwIfAborted();
  const path = join(await made, "drill.db");
  const { busyTimeoutMs, answerTimeoutMs } = options;
  return {
    options: {
      path,
      ...busyTimeoutMs === undefined ? {} : { busyTimeoutMs },
      ...answerTimeoutMs === undefined ? {} : { answerTimeoutMs },
    },
    location: `scratch file ${path}`,
    environment: { DBBACKUP_DRILL_TARGET: path },
    async query(sql, o) {
      const database = await openDatabase(path, "ro", o);
      try {
        const [row] = await database.all(sql);
        return row === undefined ? null : Object.values(row)[0] ?? null;
      } catch (error) {
        if (!(error instanceof SqliteError)) throw error;
        throw new BackupError("restore/drill", `SQLite cannot run "${sql}": ${error.message}`, {
          cause: error,
          hint: "Mend the query in the job's drill; it runs on what was restored.",
        });
      } finally {
        await database.close();
      }
    },
    async remove() {
      remove();
      await removed;
    },
  };
}
