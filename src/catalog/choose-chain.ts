import type { Until } from "../contracts/changes.ts";
import type { Position } from "../contracts/manifest.ts";
import { BackupError } from "../core/errors.ts";

/** What of a backup decides whether it reaches a moment. */
export interface Reachable {
  readonly id: string;
  readonly parentId: string | undefined;
  /** The moment whose data it shows; of several, the latest. */
  readonly consistentAt: Date;
  /** The moments that it can be restored to, where a log was kept. */
  readonly window?: { readonly from: Date; readonly to: Date } | undefined;
  readonly position: { readonly from?: Position | undefined; readonly to?: Position | undefined };
}

/** A chain for a moment or position. */
export interface ChosenChain<R extends Reachable> {
  /** The full backup first; never empty. */
  readonly chain: readonly R[];
  /** Where to stop in the last one; absent where its end is what was asked for. */
  readonly until?: Until;
}

/** Where to go back to. */
export type Target =
  | { readonly at: Date }
  | {
    readonly position: Position;
    /** See Positions.compare in src/contracts/changes.ts. */
    readonly compare: (a: Position, b: Position) => number | undefined;
    /** As people write it; default: JSON. */
    readonly format?: (position: Position) => string;
  };

/**
 * Chooses what restores the state of a moment, or of a position in the change log: a pure function.
 * The backups are of one job and source, with all that they build on.
 *
 * Where a log was kept, it is exactly that moment: the newest base that ended before it, and what
 * builds on it up to the first that reaches it. Where there are only whole backups, it is the newest
 * at or before the moment, which the caller tells.
 *
 * @throws BackupError `usage/too-early`, `usage/no-such-moment`, `usage/no-such-position`, which name
 * the nearest ones
 */
export function chooseChain<R extends Reachable>(
  backups: readonly R[],
  target: Target,
): ChosenChain<R> {
  const chains = chainsOf(backups);
  return "at" in target ? forMoment(chains, target.at) : forPosition(chains, target);
}

type PositionTarget = Extract<Target, { readonly position: Position }>;

/** Every backup with what it builds on, and when the base of its chain ended. */
interface Candidate<R> {
  readonly parent: Candidate<R> | undefined;
  readonly last: R;
  readonly base: R;
  readonly baseMs: number;
  /** How many its chain has. */
  readonly links: number;
}

/** Each is looked at once: a chain may have thousands. */
function chainsOf<R extends Reachable>(backups: readonly R[]): Candidate<R>[] {
  const byId = new Map(backups.map((one) => [one.id, one]));
  const known = new Map<R, Candidate<R> | undefined>();
  const candidateOf = (last: R): Candidate<R> | undefined => {
    if (known.has(last)) return known.get(last);
    // Names that lead in a circle are nobody's chain.
    known.set(last, undefined);
    const candidate = last.parentId === undefined
      ? { parent: undefined, last, base: last, baseMs: last.consistentAt.getTime(), links: 1 }
      : after(byId.get(last.parentId), last);
    known.set(last, candidate);
    return candidate;
  };
  const after = (one: R | undefined, last: R): Candidate<R> | undefined => {
    const parent = one && candidateOf(one);
    return parent && { ...parent, parent, last, links: parent.links + 1 };
  };
  return backups.flatMap((one) => candidateOf(one) ?? []);
}

/** The full backup first. */
function chainOf<R>(candidate: Candidate<R>): R[] {
  const chain: R[] = [];
  for (let one: Candidate<R> | undefined = candidate; one !== undefined; one = one.parent) {
    chain.push(one.last);
  }
  return chain.reverse();
}

function forMoment<R extends Reachable>(
  chains: readonly Candidate<R>[],
  at: Date,
): ChosenChain<R> {
  const atMs = at.getTime();
  const exact = best(chains.filter(({ last }) => startOf(last) <= atMs && atMs <= endOf(last)));
  if (exact !== undefined) {
    const { last } = exact;
    const chain = chainOf(exact);
    return last.window === undefined || endOf(last) === atMs ? { chain } : { chain, until: { at } };
  }
  const before = newest(chains.filter(({ last }) => endOf(last) < atMs));
  if (before === undefined) throw tooEarly(chains, at);
  const isLogged = chains.some(({ base, last }) =>
    base === before.base && last.window !== undefined
  );
  if (!isLogged) return { chain: chainOf(before) };
  const after = Math.min(
    ...chains.map(({ last }) => startOf(last)).filter((startMs) => startMs > atMs),
  );
  throw noSuchMoment(at, before.last, after);
}

function forPosition<R extends Reachable>(
  chains: readonly Candidate<R>[],
  target: PositionTarget,
): ChosenChain<R> {
  const { position, compare } = target;
  const reaching = chains.filter(({ last }) => {
    const { from = last.position.to, to } = last.position;
    if (from === undefined || to === undefined) return false;
    const [afterStart, beforeEnd] = [compare(from, position), compare(position, to)];
    // A base without a log stands for its end alone.
    const isFromStart = last.window === undefined || last.parentId === undefined
      ? beforeEnd === 0
      : afterStart !== undefined && afterStart < 0;
    return isFromStart && beforeEnd !== undefined && beforeEnd <= 0;
  });
  const exact = best(reaching);
  if (exact !== undefined) {
    const isEnd = compare(position, exact.last.position.to!) === 0;
    const chain = chainOf(exact);
    return isEnd ? { chain } : { chain, until: { position } };
  }
  throw noSuchPosition(chains, target);
}

/** Of several that reach it: on the newest base, the first that does, by the shortest way. */
function best<R extends Reachable>(chains: readonly Candidate<R>[]): Candidate<R> | undefined {
  return chains.toSorted((a, b) =>
    b.baseMs - a.baseMs || endOf(a.last) - endOf(b.last) || a.links - b.links
  )[0];
}

function newest<R extends Reachable>(chains: readonly Candidate<R>[]): Candidate<R> | undefined {
  return chains.toSorted((a, b) =>
    endOf(b.last) - endOf(a.last) || b.baseMs - a.baseMs || a.links - b.links
  )[0];
}

/** The first moment that a backup adds to what it builds on. */
function startOf({ window, consistentAt }: Reachable): number {
  return (window?.from ?? consistentAt).getTime();
}

function endOf({ window, consistentAt }: Reachable): number {
  return (window?.to ?? consistentAt).getTime();
}

function tooEarly(chains: readonly Candidate<Reachable>[], at: Date): BackupError {
  const first =
    chains.toSorted((a, b) =>
      startOf(a.last) - startOf(b.last) || endOf(a.last) - endOf(b.last)
    )[0];
  return new BackupError("usage/too-early", `No backup is as old as ${at.toISOString()}`, {
    hint: first === undefined
      ? "There is no backup at all."
      : `The oldest is ${first.last.id}, of ${isoOf(startOf(first.last))}.`,
  });
}

function noSuchMoment(at: Date, before: Reachable, afterMs: number): BackupError {
  const next = Number.isFinite(afterMs) ? `, the next one is ${isoOf(afterMs)}` : "";
  return new BackupError(
    "usage/no-such-moment",
    `Nothing was kept of ${at.toISOString()}: no backup reaches it`,
    { hint: `The nearest moment before it is ${isoOf(endOf(before))} (${before.id})${next}.` },
  );
}

function noSuchPosition(
  chains: readonly Candidate<Reachable>[],
  { position, compare, format = JSON.stringify }: PositionTarget,
): BackupError {
  const ends = chains.flatMap(({ last }) => last.position.to === undefined ? [] : [last]);
  const before = ends.filter(({ position: { to } }) => (compare(to!, position) ?? 1) < 0)
    .toSorted((a, b) => compare(b.position.to!, a.position.to!) ?? 0)[0];
  const after = ends.filter(({ position: { to } }) => (compare(to!, position) ?? -1) > 0)
    .toSorted((a, b) => compare(a.position.to!, b.position.to!) ?? 0)[0];
  const nearest = [before, after].flatMap((one) =>
    one === undefined ? [] : [`${format(one.position.to!)} (${one.id})`]
  );
  return new BackupError(
    "usage/no-such-position",
    `No backup reaches the position ${format(position)}`,
    {
      hint: nearest.length === 0
        ? "Of its log there is no backup: `dbbackup show ID` prints a backup's positions."
        : `The nearest where a backup ends: ${nearest.join(", ")}.`,
    },
  );
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
