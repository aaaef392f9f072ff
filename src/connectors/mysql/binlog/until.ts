import type { Until } from "../../../contracts/changes.ts";
import type { BinlogEvent } from "./event.ts";
import { compareGtid } from "./gtid.ts";
import { binlogPositions, type Place, wantedGtid } from "./place.ts";
import { commitTimeOf } from "./transactions.ts";

/**
 * Whether a transaction is behind where a restore stops.
 *
 * A log that knows only the second in which a statement began tells of a moment within a second what
 * had begun before that second.
 *
 * @param event begins the transaction
 * @param place where the event starts
 */
export function isPast(until: Until, event: BinlogEvent, place: Place): boolean {
  if ("at" in until) {
    const atMs = until.at.getTime();
    const { us, isExact } = commitTimeOf(event);
    return isExact ? us > atMs * 1000 : us >= Math.floor(atMs / 1000) * 1_000_000;
  }
  const gtid = wantedGtid(until.position);
  if (gtid !== undefined) return compareGtid(place.gtid ?? "", gtid) >= 0;
  return (binlogPositions.compare(place, until.position) ?? 0) >= 0;
}
