import type { Db } from "mongodb";
import type { RestoreStep } from "../../contracts/restore.ts";

/**
 * MongoDB cannot rename a database, so what was restored and differs stays where it is. An empty
 * collection beside it, named after the backup, tells a later `--accept-differences` that this is it
 * and no other content.
 */
const prefix = "dbbackup.differs.";

/** Whether a collection is such a mark. */
export function isMark(collection: string): boolean {
  return collection.startsWith(prefix);
}

/** The mark of a backup. */
export function markOf(backupId: string): string {
  return `${prefix}${backupId}`;
}

/** Leaves the mark; a failure to do so changes nothing about the error that is told. */
export async function mark(db: Db, backupId: string): Promise<void> {
  await db.createCollection(markOf(backupId)).catch(() => {});
}

/** Takes all marks away. */
export async function unmark(db: Db): Promise<void> {
  const found = await db.listCollections({}, { nameOnly: true }).toArray();
  for (const { name } of found) {
    if (isMark(name)) await db.dropCollection(name);
  }
}

/** The steps that restore something. */
export function restoring(steps: readonly RestoreStep[]): RestoreStep[] {
  return steps.filter(({ adopts }) => adopts === undefined);
}
