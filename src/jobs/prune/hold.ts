import { addMark, removeMark } from "../../catalog/marks.ts";
import { type BackupError, toBackupError } from "../../core/errors.ts";
import { withDestinations } from "../shared/destinations.ts";
import { findBackups } from "../shared/find.ts";
import { withBackupsKept } from "../shared/lock.ts";
import { resolveReached } from "../shared/resolve-reached.ts";
import type { HoldResult, SetHold } from "./types.ts";
import type { JobContext } from "../shared/context.ts";

/** Sets or lifts the hold mark on every copy of a backup. See {@link SetHold}. */
export const setHold: SetHold = ({ destinations, backup, isHeld }, o) =>
  withDestinations(destinations, o, async (open, unopened) => {
    const { found, failed } = await findBackups(open, o);
    const unreached = [...unopened, ...failed];
    if (unreached.length === destinations.length) throw unreached[0]!.error;
    const ref = resolveReached(found.map((one) => one.ref), backup, unreached);
    const { copies } = found.find((one) => one.ref.prefix === ref.prefix)!;
    const results: HoldResult[] = [];
    for (const { destination: { name, storage }, ref: copy } of copies) {
      const scope = { job: copy.job, locations: [storage.location] };
      const change = isHeld ? addMark : removeMark;
      const error = await told(
        o,
        () => withBackupsKept(scope, o, () => change(storage, copy, { type: "hold" }, o)),
      );
      results.push({ destination: name, ...(error === undefined ? {} : { error }) });
    }
    // Whether these have it cannot be told, so that all have the mark cannot be told either.
    for (const { name, error } of unreached) results.push({ destination: name, error });
    return { id: ref.id, job: ref.job, results };
  });

async function told(o: JobContext, act: () => Promise<void>): Promise<BackupError | undefined> {
  try {
    await act();
    return undefined;
  } catch (error) {
    o.signal.throwIfAborted();
    return toBackupError(error);
  }
}
