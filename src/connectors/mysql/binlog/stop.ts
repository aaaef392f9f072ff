import type { Abortable } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Until } from "../../../contracts/changes.ts";
import type { RestorableBackup } from "../../../contracts/restore.ts";
import { createCursor } from "./piece.ts";
import { binlogPositions, type LogPlace, placeOf, textOf } from "./place.ts";
import { readEvents } from "./reader.ts";
import { createTracker } from "./transactions.ts";

/**
 * Makes sure that a position to stop at is between two transactions of a backup's log: within one
 * there is no state to restore.
 *
 * @throws BackupError `usage/no-such-position`, which names the nearest ones
 */
export async function assertStop(
  { artifacts }: RestorableBackup,
  until: Until,
  o: Abortable,
): Promise<void> {
  const wanted = "position" in until ? placeOf(until.position) : undefined;
  if (wanted === undefined) return;
  for (const artifact of artifacts) {
    const from = placeOf(artifact.from);
    if (artifact.role !== "log" || from?.file !== wanted.file) continue;
    const cursor = createCursor(from, from.server);
    const tracker = createTracker();
    /** Where the transaction under way began. */
    let start: LogPlace = from;
    for await (const event of readEvents(artifact.open(o))) {
      const before = cursor.at();
      if (tracker.see(event).begins) start = before;
      cursor.see(from.file, event);
      const after = cursor.at();
      const isIn = wanted.offset > start.offset && wanted.offset < after.offset;
      // Between transactions, events are only about the log itself.
      if (!isIn || (!tracker.isInside() && start === before)) {
        if (tracker.isInside()) continue;
        if (binlogPositions.compare(cursor.place(), wanted)! >= 0) return;
        continue;
      }
      if (tracker.isInside()) continue;
      throw new BackupError(
        "usage/no-such-position",
        `${textOf(wanted)} is in the middle of a transaction`,
        { hint: `The nearest are ${textOf(start)} before it and ${textOf(after)} behind it.` },
      );
    }
  }
}
