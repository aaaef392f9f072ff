import { z } from "zod";
import { duration } from "../contracts/duration.ts";
import { type Kind } from "../contracts/manifest.ts";
import type {
  BackupRef,
  Strategy,
  StrategyFacts,
  StrategyInput,
  StrategyPlan,
  StrategyWish,
} from "../contracts/strategy.ts";
import { BackupError } from "../core/errors.ts";
import { canonicalJson } from "../core/json.ts";
import { formatDuration } from "../core/text.ts";
import { newestFull, newestOf } from "./history.ts";

/** What a job says of its chains. */
export const chainSchema = z.strictObject({
  fullEvery: duration.optional()
    .describe('From the start of one full backup to that of the next. Default "7d".'),
});
/** See {@link chainSchema}. */
export type ChainSettings = z.infer<typeof chainSchema>;

/** How chains are made. */
export interface ChainOptions {
  /** Milliseconds from the start of one full backup to that of the next; default 7 days. */
  readonly fullEveryMs?: number;
}

/** The time between full backups of jobs that set none. */
export const defaultFullEveryMs = 7 * 24 * 60 * 60 * 1000;

// Runs of one schedule do not start at the same second of each day: one that comes a little early is
// not put off to the next, or "7d" would mean 8 days. At most 10 minutes.
const longestEarlyMs = 10 * 60_000;

/** A strategy that takes backups of one kind on top of a full one. */
export function chainStrategy(
  { id, kind, fullEveryMs = defaultFullEveryMs }: ChainOptions & {
    readonly id: string;
    readonly kind: Exclude<Kind, "full">;
  },
): Strategy {
  const earlyMs = Math.min(longestEarlyMs, fullEveryMs / 24);

  function wants({ history, now, forced }: StrategyInput): StrategyWish {
    const full = newestFull(history);
    const asked = "it was asked for with --kind";
    if (forced === "full") return { kind: "full", parent: undefined, reason: asked };
    if (full === undefined) {
      if (forced !== undefined) throw unsupported(forced, "there is no full one to build on");
      return { kind: "full", parent: undefined, reason: "there is no full backup to build on yet" };
    }
    const ageMs = now.getTime() - full.createdAt.getTime();
    if (forced === undefined && ageMs >= fullEveryMs - earlyMs) {
      const reason = `the last full backup, ${full.id}, is ${formatDuration(ageMs)} old`;
      return { kind: "full", parent: undefined, reason };
    }
    const taken = forced ?? kind;
    const parent = taken === "differential" ? full : newestOf(history)!;
    return { kind: taken, parent, reason: forced === undefined ? sinceText(taken, parent) : asked };
  }

  function decide(wish: StrategyWish, facts: StrategyFacts): StrategyPlan {
    const { kind, parent } = wish;
    if (kind === "full" || parent === undefined) return { ...wish, isBase: true };
    const obstacle = obstacleTo(kind, parent, facts);
    if (obstacle === undefined) return { ...wish, isBase: true };
    if (facts.forced !== undefined) throw unsupported(facts.forced, obstacle);
    return { kind: "full", parent: undefined, reason: obstacle, wanted: kind, isBase: true };
  }

  return { id, kinds: ["full", kind], wants, decide };
}

function sinceText(kind: Kind, parent: BackupRef): string {
  return kind === "differential"
    ? `the changes since the last full backup, ${parent.id}`
    : `the changes since the last backup, ${parent.id}`;
}

/** Why nothing can build on the parent; undefined where it can. */
function obstacleTo(
  kind: Kind,
  { id }: BackupRef,
  { parent, info, settings }: StrategyFacts,
): string | undefined {
  const { continues, capabilities, flavour, version } = info;
  if (continues?.isPossible === false) return continues.reason;
  if (parent === undefined) return `the manifest of ${id} cannot be read`;
  if (!capabilities.includes(kind)) {
    return `${flavour} ${version} gives no ${kind} backup as it is set up now`;
  }
  if (parent.position.to === undefined) return `${id} does not say where in the log it ended`;
  if (continues === undefined) return `${flavour} does not say whether its log goes on from ${id}`;
  const { restoreArgs: _, ...shaping } = settings;
  const { restoreArgs: __, ...before } = parent.settings;
  if (canonicalJson(shaping) === canonicalJson(before)) return undefined;
  return `${id} was taken with other settings of what is left out`;
}

function unsupported(kind: Kind, why: string): BackupError {
  return new BackupError(
    "usage/kind-unsupported",
    `Cannot take a backup of kind "${kind}": ${why}`,
    {
      hint: "Leave --kind out, or give --kind full.",
    },
  );
}
