import type { Abortable } from "../../../core/bytes.ts";
import type { Continuation } from "../../../contracts/changes.ts";
import type { Manifest } from "../../../contracts/manifest.ts";
import type { Client } from "../client.ts";
import { formatLsn, logPosition, segmentStart } from "./lsn.ts";
import type { ServerLog } from "./server-log.ts";
import { readSlot } from "./slot.ts";

/** The roles of a physical backup's artifacts. */
export const baseRole = "base";
/** See {@link baseRole}. */
export const logRole = "log";

/** Whether a backup is a copy of the server's files or a piece of its log, and not a dump. */
export function isPhysical({ artifacts }: Pick<Manifest, "artifacts">): boolean {
  return artifacts.some(({ role }) => role === baseRole || role === logRole);
}

/** Whether the server's log still has all since where a backup ended. */
export async function readContinuation(
  client: Client,
  { place, log, slot: name }: {
    readonly place: string;
    readonly log: ServerLog;
    readonly slot: string;
  },
  parent: Manifest,
  o: Abortable,
): Promise<Continuation> {
  const { position, segmentBytes } = log;
  const end = logPosition(parent.position.to);
  if (end === undefined || !isPhysical(parent)) {
    return no(`${parent.id} is a dump, which the server's log cannot go on from`);
  }
  if (end.system !== position.system) {
    return no(
      `the server is another one: its system identifier is ${position.system}, and ` +
        `${parent.id} is of ${end.system}`,
    );
  }
  if (end.timeline !== position.timeline) {
    return no(
      `the server is on timeline ${position.timeline}, and ${parent.id} ended on ${end.timeline}: ` +
        "it was restored or promoted since",
    );
  }
  if (end.lsn > position.lsn) {
    return no(
      `the server's log ends at ${formatLsn(position.lsn)}, before ${formatLsn(end.lsn)}, where ` +
        `${parent.id} ended: older files were put in its place`,
    );
  }
  const slot = await readSlot(client, place, name, o);
  if (slot === undefined) return no(`the replication slot "${name}" is gone`);
  if (!slot.isPhysical) return no(`the replication slot "${name}" is not a physical one`);
  if (slot.status === "lost" || slot.keptFrom === undefined) {
    return no(`the replication slot "${name}" has lost its log: max_slot_wal_keep_size was passed`);
  }
  // It keeps whole segments.
  if (segmentStart(slot.keptFrom, segmentBytes) > segmentStart(end.lsn, segmentBytes)) {
    return no(
      `the replication slot "${name}" keeps the log only from ${
        formatLsn(slot.keptFrom)
      } on, and ` +
        `${parent.id} ended at ${
          formatLsn(end.lsn)
        }: the slot was made anew, or moved by another ` +
        "backup of a job by this name",
    );
  }
  return { isPossible: true };
}

function no(reason: string): Continuation {
  return { isPossible: false, reason };
}
