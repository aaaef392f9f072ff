import type { BackupRef } from "../contracts/strategy.ts";
import { isDamaged } from "./standing.ts";
import { isKnownKind } from "../contracts/manifest.ts";
import { isAhead, momentOf } from "./moment.ts";
import { isOwnFile } from "./own-files.ts";
import { type Calendar, calendarIn, type Period, periodNames } from "./periods.ts";

/**
 * How long backups are kept. Every rule keeps some, and what no rule keeps is dropped; without any
 * rule nothing is dropped. Only good backups count.
 */
export interface RetentionPolicy extends Readonly<Partial<Record<Period, number>>> {
  /** The newest so many. */
  readonly last?: number;
  /** Older ones are dropped whatever rule keeps them; alone, younger ones are kept. */
  readonly maxAgeMs?: number;
  /** So many of the newest are kept, however old they are. */
  readonly minKeep?: number;
  /**
   * Of so many of the newest full backups the newest good chain is kept, however old it is. The newest
   * good one is kept anyhow.
   */
  readonly minChains?: number;
}

/** What retention reads of a backup. */
export type Retainable = Pick<
  BackupRef,
  "id" | "job" | "kind" | "createdAt" | "storedAt" | "sourceTag" | "parentId" | "marks" | "files"
>;

/** What is to become of one backup, and why. */
export interface RetentionDecision<R extends Retainable = BackupRef> {
  readonly ref: R;
  readonly action: "keep" | "drop";
  /** At least one: `daily 2026-11-23`, `on hold`, `older than 30 days`. */
  readonly reasons: readonly string[];
}

/**
 * Decides which backups of one destination are kept: a pure function. Each job and source is looked
 * at alone. As in restic and borg, `daily: 7` keeps the last backup of each of the 7 newest days that
 * have one, and so on for the other periods; days are those of the time zone, weeks begin on Monday.
 *
 * A damaged backup fills no place of a good one, and is kept for as long as it would be if it were
 * good. Whatever the policy says, it keeps what is on hold, what a kept backup needs to restore, the newest
 * good backup, whatever is newer than that, and folders with files that dbbackup does not write.
 *
 * @returns one decision for each backup, newest first within a job and source
 */
export function applyRetention<R extends Retainable>(
  refs: readonly R[],
  policy: RetentionPolicy,
  o: { readonly now: Date; readonly timezone: string },
): RetentionDecision<R>[] {
  const calendar = calendarIn(o.timezone);
  const groups = new Map<string, R[]>();
  for (const ref of refs) {
    const key = `${ref.sourceTag}${ref.job}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [ref]);
    else group.push(ref);
  }
  return [...groups.values()].flatMap((group) => decide(group, policy, o.now.getTime(), calendar));
}

interface Candidate<R> {
  readonly ref: R;
  readonly atMs: number;
  readonly parent: Candidate<R> | undefined;
  /** How many backups it builds on. */
  readonly depth: number;
  /** Why it does not restore; undefined for a good one. */
  readonly fault: string | undefined;
  /** True where nothing but marks says that it is not good: it may turn out well, or be healed. */
  readonly isHealable: boolean;
  readonly reasons: string[];
}

function decide<R extends Retainable>(
  group: readonly R[],
  policy: RetentionPolicy,
  nowMs: number,
  calendar: Calendar,
): RetentionDecision<R>[] {
  const candidates = candidatesOf(group, nowMs);
  const good = candidates.filter(({ fault }) => fault === undefined);
  keepRegardless(candidates, good, nowMs);
  keepByPolicy(candidates, good, policy, nowMs, calendar);
  keepUntilTheirTime(candidates, policy, nowMs, calendar);
  for (const kept of candidates) {
    if (kept.reasons.length > 0) keepAncestors(kept);
  }
  return candidates.map((one): RetentionDecision<R> =>
    one.reasons.length > 0
      ? { ref: one.ref, action: "keep", reasons: one.reasons }
      : { ref: one.ref, action: "drop", reasons: [whyDropped(one, policy, nowMs)] }
  );
}

/** Newest first; of one second, children before what they build on. */
function candidatesOf<R extends Retainable>(
  group: readonly R[],
  nowMs: number,
): Candidate<R>[] {
  const byId = new Map(group.map((ref) => [ref.id, ref]));
  const made = new Map<R, Candidate<R>>();
  const pending = new Set<R>();

  function make(ref: R): Candidate<R> {
    const known = made.get(ref);
    if (known !== undefined) return known;
    pending.add(ref);
    const parentRef = ref.parentId === undefined ? undefined : byId.get(ref.parentId);
    // Names that lead in a circle are nobody's chain.
    const parent = parentRef === undefined || pending.has(parentRef) ? undefined : make(parentRef);
    pending.delete(ref);
    const candidate: Candidate<R> = {
      ref,
      atMs: momentOf(ref).getTime(),
      parent,
      depth: parent === undefined ? 0 : parent.depth + 1,
      fault: faultOf(ref, parent, nowMs),
      isHealable: !isAhead(ref, new Date(nowMs)) && isKnownKind(ref.kind) &&
        (ref.parentId === undefined || parent?.isHealable === true),
      reasons: [],
    };
    made.set(ref, candidate);
    return candidate;
  }

  return group.map(make).sort((a, b) =>
    b.atMs - a.atMs || b.depth - a.depth || (a.ref.id < b.ref.id ? 1 : -1)
  );
}

function faultOf<R extends Retainable>(
  ref: R,
  parent: Candidate<R> | undefined,
  nowMs: number,
): string | undefined {
  const { parentId } = ref;
  // Neither fills a good one's place: nobody knows when it was made, or whether it restores.
  if (isAhead(ref, new Date(nowMs))) return "dated in the future";
  if (!isKnownKind(ref.kind)) return unknownKind(ref);
  if (isDamaged(ref)) return "damaged";
  if (parentId === undefined) return undefined;
  if (parent === undefined) return `${parentId}, which it builds on, is missing`;
  return parent.fault === undefined ? undefined : `${parentId}, which it builds on, is not good`;
}

/** What no policy may drop. */
function keepRegardless<R extends Retainable>(
  candidates: readonly Candidate<R>[],
  good: readonly Candidate<R>[],
  nowMs: number,
): void {
  const [newest] = good;
  const position = newest === undefined ? candidates.length : candidates.indexOf(newest);
  newest?.reasons.push("newest good");
  for (const [index, { ref, atMs, reasons }] of candidates.entries()) {
    if (index < position && !isAhead(ref, new Date(nowMs))) {
      reasons.push(newest === undefined ? "there is no good one" : "newer than the newest good");
    }
    if (ref.marks.some(({ type }) => type === "hold")) reasons.push("on hold");
    if (atMs > nowMs) reasons.push("dated in the future");
    if (!isKnownKind(ref.kind)) reasons.push(unknownKind(ref));
    const foreign = foreignFile(ref.files);
    if (foreign !== undefined) reasons.push(`has "${foreign}", which is not dbbackup's`);
  }
}

function unknownKind({ kind }: Retainable): string {
  return `of kind "${kind}", which this dbbackup does not know`;
}

function foreignFile(files: ReadonlyMap<string, number>): string | undefined {
  for (const name of files.keys()) if (!isOwnFile(name)) return name;
  return undefined;
}

function keepByPolicy<R extends Retainable>(
  candidates: readonly Candidate<R>[],
  good: readonly Candidate<R>[],
  policy: RetentionPolicy,
  nowMs: number,
  calendar: Calendar,
): void {
  const { last = 0, maxAgeMs, minKeep = 0 } = policy;
  const hasCounts = policy.last !== undefined ||
    periodNames.some((period) => policy[period] !== undefined);
  const isYoung = ({ atMs }: Candidate<R>) => maxAgeMs === undefined || nowMs - atMs <= maxAgeMs;
  if (!hasCounts) {
    const reason = maxAgeMs === undefined ? "no rule drops any" : `younger than ${days(maxAgeMs)}`;
    for (const one of candidates) if (isYoung(one)) one.reasons.push(reason);
  }
  for (const [index, { reasons }] of good.slice(0, minKeep).entries()) {
    reasons.push(`minKeep ${index + 1} of ${minKeep}`);
  }
  keepChains(good, policy.minChains ?? 0);
  const young = good.filter(isYoung);
  for (const [index, { reasons }] of young.slice(0, last).entries()) {
    reasons.push(`last ${index + 1} of ${last}`);
  }
  for (const period of periodNames) {
    keepPeriods(young, period, policy[period] ?? 0, calendar);
  }
}

/** Keeps the newest backup of each of the newest families: with what it needs, that is a chain. */
function keepChains<R>(good: readonly Candidate<R>[], count: number): void {
  const seen = new Set<R>();
  for (const one of good) {
    let root = one;
    while (root.parent !== undefined) root = root.parent;
    if (seen.has(root.ref)) continue;
    if (seen.size === count) return;
    seen.add(root.ref);
    one.reasons.push(`chain ${seen.size} of ${count}`);
  }
}

/**
 * A damaged backup fills no good one's place, and one bad read must not delete it: it stays for as
 * long as it would if nothing were said against it.
 */
function keepUntilTheirTime<R extends Retainable>(
  candidates: readonly Candidate<R>[],
  policy: RetentionPolicy,
  nowMs: number,
  calendar: Calendar,
): void {
  // Reasons are gathered apart, for those that are good have theirs.
  const as = new Map(
    candidates.filter(({ isHealable }) => isHealable)
      .map((one) => [{ ...one, reasons: [] as string[] }, one]),
  );
  const all = [...as.keys()];
  keepByPolicy(all, all, policy, nowMs, calendar);
  for (const [{ reasons: [reason] }, one] of as) {
    if (one.fault === undefined || one.reasons.length > 0 || reason === undefined) continue;
    one.reasons.push(`damaged, and kept as a good one would be: ${reason}`);
  }
}

/** Keeps the newest backup of each of the newest `count` periods that have one. */
function keepPeriods<R>(
  young: readonly Candidate<R>[],
  period: Period,
  count: number,
  calendar: Calendar,
): void {
  let before: number | undefined;
  let kept = 0;
  for (const { atMs, reasons } of young) {
    if (kept === count) return;
    const number = calendar.number(period, atMs);
    if (number === before) continue;
    before = number;
    kept++;
    reasons.push(`${period} ${calendar.label(period, atMs)}`);
  }
}

function keepAncestors<R extends Retainable>(kept: Candidate<R>): void {
  for (let one = kept.parent; one !== undefined; one = one.parent) {
    const isNew = one.reasons.length === 0;
    if (isNew) one.reasons.push(`needed by ${kept.ref.id}`);
    // Its own ancestors are kept with it, in its own turn.
    else return;
  }
}

function whyDropped<R>(
  { fault, atMs }: Candidate<R>,
  { maxAgeMs }: RetentionPolicy,
  nowMs: number,
): string {
  if (maxAgeMs !== undefined && nowMs - atMs > maxAgeMs) return `older than ${days(maxAgeMs)}`;
  return fault ?? "no rule keeps it";
}

function days(ms: number): string {
  const count = ms / 86_400_000;
  if (count < 1) return `${Number((ms / 3_600_000).toFixed(1))} hours`;
  return count === 1 ? "1 day" : `${Number(count.toFixed(1))} days`;
}
