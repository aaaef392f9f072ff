import { BackupError } from "../../core/errors.ts";
import { majorOf } from "./archive/head.ts";
import type { LoadOrder } from "./load-order.ts";
import {
  isOfLostConnection,
  lostConnectionHint,
  objectOf,
  type ToolFailure,
} from "./tool-failure.ts";

/** The error of a load that stops, with what to do about it. */
export function loadFailure({ entry, message }: ToolFailure, order: LoadOrder): BackupError {
  const what = entry === undefined ? "" : `${objectOf(entry)}: `;
  return new BackupError("restore/failed", `pg_restore failed: ${what}${message}`, {
    hint: hintFor(message, order),
    ...entry === undefined ? {} : { details: { object: objectOf(entry) } },
  });
}

function hintFor(message: string, { serverMajor, mode, ids, head }: LoadOrder): string {
  const sourceMajor = majorOf(head.header.serverVersion);
  if (isOfLostConnection({ message })) return lostConnectionHint;
  if (/No space left on device|Disk quota exceeded/i.test(message)) {
    return "The server's disk is full: free space on it, and run the same restore again. What was " +
      "there before still is.";
  }
  if (/must be (owner|member|able to SET ROLE)|permission denied to set role/i.test(message)) {
    return "Restore as a superuser, or make all objects your own: --restore-arg=--no-owner.";
  }
  if (mode === "replace" || mode === "fill" && ids !== undefined) {
    return "Nothing was changed. What is there already may be of another form than in the backup: " +
      "restore to another database, and compare the two" +
      (mode === "fill" ? "; or replace what does not fit, too: --only NAME --overwrite." : ".");
  }
  if (/syntax error at or near/.test(message) && serverMajor > sourceMajor) {
    return `PostgreSQL ${serverMajor} reserves a word that ${sourceMajor} did not: back up with the ` +
      `client tools of ${serverMajor}, which quote it, or restore everything else with --keep-going.`;
  }
  if (/ does not exist; .*SQL function/.test(message) && serverMajor >= 17) {
    return "PostgreSQL 17 and newer make indexes and materialized views with an empty search_path, " +
      "whatever is set. Restore everything else with --keep-going, then ALTER FUNCTION … " +
      "SET search_path and make by hand what failed.";
  }
  if (/out of shared memory|max_locks_per_transaction/i.test(message)) {
    return "Raise max_locks_per_transaction on the target, or restore with --jobs 2.";
  }
  if (
    /extension .* is not available|could not (open extension control|access|load library)/i
      .test(message)
  ) {
    return "Install the extension on the target's machine first, or restore all but what needs it: " +
      "--keep-going.";
  }
  return "What was there before still is. --keep-going restores everything else and lists what " +
    "failed.";
}
