import { rawBytesOf } from "../../catalog/seal.ts";
import { storedBytesOf } from "../../catalog/sizes.ts";
import type { DestinationOutcome, RunResult } from "../../contracts/run.ts";
import { formatBytes, formatDuration } from "../../core/text.ts";

/** What people are told of a run, on a terminal, by a notifier, on a page. Plain text, no colours. */
export interface RunReport {
  /** How it ended, in a word or two: `backed up`, `backed up to some destinations only`,
   * `failed`. */
  readonly verdict: string;
  /** The rest of the sentence: `shop as k3v9x2ma, 1.2 GiB → 300 MiB, in 3m 2s`. */
  readonly summary: string;
  /** What kind of backup it was and why, where that is not what every run of the job takes. */
  readonly kind?: string;
  /** Where it is, and where it is not. */
  readonly places: readonly PlaceReport[];
  /** What is not in it, as the job accepts: `routines: …`. */
  readonly omitted: readonly string[];
  readonly warnings: readonly string[];
}

/** How a run ended at one destination, for people. */
export interface PlaceReport {
  /** Its name, and its location where that says more. */
  readonly place: string;
  /** `stored`, or why it is not there. */
  readonly state: string;
  readonly isFailure: boolean;
  /** What to do about it, where the run's own error does not say that already. */
  readonly hint?: string;
}

/** Says what came of a run. */
export function reportRun(result: RunResult): RunReport {
  const { manifest, job, status, destinations } = result;
  const took = formatDuration(result.finishedAt.getTime() - result.startedAt.getTime());
  // Where one failed it is the run's error; where several did, each has a reason of its own.
  const told = manifest !== undefined || destinations.length > 1
    ? destinations.filter((one) => one.status !== "not-tried")
    : [];
  const common = {
    places: told.map((one) => reportPlace(one, result)),
    omitted: (manifest?.omitted ?? []).map(({ name, reason }) => `${name}: ${reason}`),
    warnings: result.warnings,
  };
  if (manifest === undefined) {
    return { verdict: "failed", summary: `${job} after ${took}`, ...common };
  }
  const size = `${formatBytes(rawBytesOf(manifest))} → ${formatBytes(storedBytesOf(manifest))}`;
  const kind = kindText(result);
  return {
    verdict: status === "success" ? "backed up" : "backed up to some destinations only",
    summary: `${job} as ${manifest.id}, ${size}, in ${took}`,
    ...kind === undefined ? {} : { kind },
    ...common,
  };
}

function kindText({ manifest }: RunResult): string | undefined {
  const { strategy, kind } = manifest!;
  if (strategy === undefined || strategy.id === "full") return undefined;
  const { wanted, reason } = strategy;
  return wanted === undefined ? `${kind}: ${reason}` : `${kind} instead of ${wanted}: ${reason}`;
}

function reportPlace(outcome: DestinationOutcome, { error }: RunResult): PlaceReport {
  const { name, location } = outcome;
  // A URL of the command line says it all, but for what stands behind the "?".
  const isSame = name.split("?")[0] === location.split("?")[0];
  const place = isSame ? location : `${name} (${location})`;
  if (outcome.status !== "failed") return { place, state: "stored", isFailure: false };
  const { code, message, hint } = outcome.error;
  // The run's own error has the first one's.
  const isTold = outcome.error === error?.cause || hint === undefined;
  return {
    place,
    state: `failed: ${message} (${code})`,
    isFailure: true,
    ...isTold ? {} : { hint },
  };
}
