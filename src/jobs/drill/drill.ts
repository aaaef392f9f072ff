import type { Scratch } from "../../contracts/connector.ts";
import { BackupError, toBackupError } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import { withDeferred } from "../../core/defer.ts";
import { prepareRestore } from "../restore/restore.ts";
import type { PreparedRestore } from "../restore/types.ts";
import type { JobContext } from "../shared/context.ts";
import { check } from "./assertions.ts";
import type { DrillCheck, DrillRequest, DrillResult } from "./types.ts";

/**
 * A test restore: brings a job's newest chain into a database that it makes, asks that one what the
 * job says it must answer, removes it, and marks the backup with the time that the restore took. What
 * went wrong is in the result.
 *
 * The production database is not touched, and nothing it keeps for the job.
 */
export async function drillJob(request: DrillRequest, o: JobContext): Promise<DrillResult> {
  const drill: Drill = { steps: [], checks: [], warnings: [], links: 0, fetchedBytes: 0 };
  const { name: job } = request.job;
  try {
    await carryOut(request, drill, o);
    return { job, ...drill };
  } catch (error) {
    return { job, ...drill, error: toBackupError(o.signal.aborted ? o.signal.reason : error) };
  }
}

/** What a drill has come to so far. */
interface Drill {
  backup?: string;
  links: number;
  location?: string;
  readonly steps: { readonly what: string; readonly tookMs: number }[];
  readonly checks: DrillCheck[];
  fetchedBytes: number;
  readonly warnings: string[];
}

function carryOut({ job, destinations }: DrillRequest, drill: Drill, o: JobContext): Promise<void> {
  const { kind, options } = job.database;
  if (kind.scratch === undefined) {
    throw new BackupError("usage/no-drill", `${kind.title} has no drills`, {
      hint: "Restore it to a database of your own: `dbbackup restore JOB --to URL`.",
    });
  }
  const timed = async <T>(what: string, run: () => Promise<T>): Promise<T> => {
    const startedMs = performance.now();
    const result = await run();
    drill.steps.push({ what, tookMs: performance.now() - startedMs });
    return result;
  };
  return withDeferred(async (defer) => {
    let scratch: Scratch<unknown> | undefined;
    // However it ends, nothing of it stays.
    defer(async () => {
      const made = scratch;
      if (made !== undefined) await timed("remove", () => made.remove());
    });
    const prepared = await timed("choose", () =>
      prepareRestore({
        destinations: destinations ?? job.destinations,
        job: job.name,
        target: job.database,
        async makePlace(chain) {
          const { manifest, inventory } = chain.at(-1)!;
          const all = chain.flatMap(({ artifacts }) => artifacts);
          scratch = await kind.scratch!(options, {
            signal: o.signal,
            runtime: o.runtime,
            backupId: manifest.id,
            inventory,
            rawBytes: all.reduce((sum, { rawBytes }) => sum + rawBytes, 0),
            databases: inventory.databases.map(({ database }) => database),
          });
          return scratch.options;
        },
        only: [],
        isOverwrite: false,
        isWithAccounts: false,
        isDifferenceAccepted: false,
        isKeepGoing: false,
        jobs: 1,
        restoreArgs: [],
      }, o));
    defer(() => prepared.close());
    const made = scratch!;
    drill.backup = prepared.manifest.id;
    drill.links = prepared.links.length;
    drill.location = made.location;
    assertNew(prepared, made.location);
    drill.fetchedBytes = prepared.storedBytes;
    const { warnings } = await timed("restore", () => prepared.run());
    const { tookMs: restoreMs } = drill.steps.at(-1)!;
    drill.warnings.push(...warnings);
    const assertions = job.drill?.assert ?? [];
    if (assertions.length > 0) {
      await timed("assert", async () => {
        for (const one of assertions) drill.checks.push(await check(one, made, o));
      });
    }
    assertMet(drill.checks);
    await prepared.mark({
      type: "drilled",
      at: o.runtime.now(),
      restoreMs,
      fetchedBytes: drill.fetchedBytes,
    });
  });
}

/** Nothing that is there is ever written over. */
function assertNew({ plan: { steps } }: PreparedRestore, location: string): void {
  const old = steps.find(({ mode }) => mode !== "create");
  if (old === undefined) return;
  throw new BackupError("restore/drill", `"${old.to}" at the ${location} is there already`, {
    hint: "A drill restores to what it makes alone. Nothing was changed.",
  });
}

function assertMet(checks: readonly DrillCheck[]): void {
  const unmet = checks.filter(({ isMet }) => !isMet);
  if (unmet.length === 0) return;
  throw new BackupError(
    "verification/drill",
    `${counted(unmet.length, "assertion")} of ${checks.length} did not hold: ` +
      unmet.map(({ what, found }) => `${what}: ${found}`).join("; "),
    {
      hint:
        "The backup restored, but does not hold what the job's drill says it must: look whether " +
        "the database has it, and whether the backup is as new as it should be.",
    },
  );
}
