import { homeOf, readManifestFile } from "../../catalog/manifest.ts";
import { momentOf } from "../../catalog/moment.ts";
import { markName } from "../../catalog/mark-names.ts";
import { addMark, removeMark } from "../../catalog/marks.ts";
import { isDamaged } from "../../catalog/standing.ts";
import type { Mark } from "../../contracts/strategy.ts";
import { toBackupError } from "../../core/errors.ts";
import { mapSome } from "../../core/map-some.ts";
import type { Everything } from "./check-chain.ts";
import { checkCopy } from "./check-copy.ts";
import { withoutAhead } from "../shared/clock.ts";
import { type Copy, isDamage } from "../shared/damaged-copy.ts";
import { type FailedDestination, withDestinations } from "../shared/destinations.ts";
import { checksOf, type Findings } from "./findings.ts";
import { findBackups, type FoundBackup } from "../shared/find.ts";
import { withBackupsKept } from "../shared/lock.ts";
import { manifestsAtOnce, openManifestCache } from "../shared/manifest-cache.ts";
import { createMeter, type MeteredContext } from "../shared/progress.ts";
import { resolveReached } from "../shared/resolve-reached.ts";
import type { JobContext } from "../shared/context.ts";
import type { VerifyBackups, VerifyResult } from "./types.ts";

/** Checks backups at every destination that has them. See {@link VerifyBackups}. */
export const verifyBackups: VerifyBackups = (request, o) =>
  withDestinations(request.destinations, o, async (open, unopened) => {
    const { found, failed, strays } = await findBackups(open, o, request.job);
    const unreached = [...unopened, ...failed];
    if (unreached.length === request.destinations.length) throw unreached[0]!.error;
    for (const one of unreached) o.onUnreached?.(one);
    for (const { destination: { name, storage }, prefix } of strays) {
      const right = await homeOf(storage, prefix, o);
      if (right !== undefined) o.onStray?.({ destination: name, prefix, right });
    }
    const chosen = choose(found, unreached, request, o);
    const metered = { ...o, meter: createMeter(o) };
    const { isDeep, kinds } = request;
    const copies = chosen.flatMap((one) => one.copies);
    const cache = isDeep ? undefined : await openManifestCache(o);
    try {
      const isWhole = unreached.length === 0;
      const everything = { found, isWhole, kinds, read: cache?.read ?? readManifestFile };
      const verify = (copy: Copy) => verifyCopy(copy, everything, isDeep, metered);
      return isDeep ? await eachKept(copies, verify, o) : await allKept(copies, verify, o);
    } finally {
      cache?.close();
    }
  });

type VerifyOne = (copy: Copy) => Promise<VerifyResult | undefined>;
type Context = Parameters<VerifyBackups>[1];

/** One after the other, each kept only while it is read: that may take hours. */
async function eachKept(copies: readonly Copy[], verify: VerifyOne, o: Context) {
  const results: VerifyResult[] = [];
  for (const copy of copies) {
    const result = await withBackupsKept(scopeOf(copy), o, () => verify(copy));
    if (result === undefined) continue;
    results.push(result);
    o.onResult?.(result);
  }
  return results;
}

/** Many at a time, and all kept from pruning until the last is done: that takes seconds. */
async function allKept(copies: readonly Copy[], verify: VerifyOne, o: Context) {
  const results: VerifyResult[] = [];
  for (const [, group] of Map.groupBy(copies, (copy) => JSON.stringify(scopeOf(copy)))) {
    const told = await withBackupsKept(
      scopeOf(group[0]!),
      o,
      () => mapSome(group, manifestsAtOnce, verify),
    );
    for (const result of told) {
      if (result === undefined) continue;
      results.push(result);
      o.onResult?.(result);
    }
  }
  return results;
}

function scopeOf({ ref: { job }, destination: { storage } }: Copy) {
  return { job, locations: [storage.location] };
}

function choose(
  found: readonly FoundBackup[],
  unreached: readonly FailedDestination[],
  { backups: ids, isLatestOnly }: Parameters<VerifyBackups>[0],
  o: JobContext,
): FoundBackup[] {
  if (ids.length > 0) {
    const refs = found.map(({ ref }) => ref);
    const prefixes = new Set(ids.map((id) => resolveReached(refs, id, unreached).prefix));
    return found.filter(({ ref }) => prefixes.has(ref.prefix));
  }
  if (isLatestOnly !== true) return [...found].reverse();
  const groups = Map.groupBy(found, ({ ref }) => `${ref.job}\0${ref.sourceTag}`);
  const newest: FoundBackup[] = [];
  for (const group of groups.values()) {
    const { current } = withoutAhead(group, ({ ref }) => ref, o.runtime.now());
    newest.push(
      ...current.toSorted((a, b) => momentOf(a.ref).getTime() - momentOf(b.ref).getTime()).slice(
        -1,
      ),
    );
  }
  return newest;
}

/** Undefined when it was pruned since it was listed. */
async function verifyCopy(
  copy: Copy,
  everything: Everything,
  isDeep: boolean,
  o: MeteredContext,
): Promise<VerifyResult | undefined> {
  const checked = await checkCopy(copy, everything, isDeep, o);
  if (checked === undefined) return undefined;
  const { ref, job, findings } = checked;
  const status = statusOf(findings);
  const mark = await leaveMark(
    { destination: copy.destination, ref },
    status,
    isDeep,
    findings,
    o,
  );
  return {
    id: ref.id,
    job,
    destination: copy.destination.name,
    status,
    checks: checksOf(findings),
    problems: [...findings.problems, ...findings.flaws].map(({ code, message }) => ({
      code,
      message,
    })),
    notes: findings.notes,
    ...(mark === undefined ? {} : { mark }),
  };
}

function statusOf({ problems, flaws, isUnread }: Findings): VerifyResult["status"] {
  if (problems.length > 0) return "damaged";
  if (isUnread) return "unchecked";
  return flaws.length > 0 ? "flawed" : "good";
}

/**
 * Damage is marked however it was found; `verified` says that every byte was read, and lifts an
 * earlier `damaged` that turned out wrong (a failing cable, not a failing disk). What a restore does
 * without makes the copy `suspect`, so that `copy` looks into it.
 */
async function leaveMark(
  { destination: { storage }, ref }: Copy,
  status: VerifyResult["status"],
  isDeep: boolean,
  findings: Findings,
  o: JobContext,
): Promise<Mark | undefined> {
  const type = markType(status, isDeep, findings);
  if (type === undefined) return undefined;
  const wasDamaged = isDamaged(ref);
  if (type !== "damaged" && wasDamaged && (findings.isClosed || !isDeep)) {
    const what = findings.isClosed ? "with the key, a deep check" : "a deep check";
    findings.notes.push(`It stays marked as damaged: ${what} could lift that.`);
    return undefined;
  }
  const mark: Mark = { type, at: o.runtime.now() };
  try {
    await addMark(storage, ref, mark, o);
    // Two checks in one second leave the same name, which must not be taken away again.
    const others = ref.marks.filter((old) => markName(old) !== markName(mark));
    // What a drill found is another thing, and a hold is the user's.
    const outdated = others.filter((old) => old.type !== "hold" && old.type !== "drilled");
    for (const old of outdated) await removeMark(storage, ref, old, o);
    return mark;
  } catch (error) {
    o.signal.throwIfAborted();
    findings.notes.push(`The mark could not be written: ${toBackupError(error).message}`);
    return undefined;
  }
}

function markType(
  status: VerifyResult["status"],
  isDeep: boolean,
  { problems }: Findings,
): "verified" | "suspect" | "damaged" | undefined {
  switch (status) {
    case "damaged":
      // What is wrong with the backups that it builds on is no damage of its own.
      return problems.some(isDamage) ? "damaged" : undefined;
    case "flawed":
      return "suspect";
    case "good":
      return isDeep ? "verified" : undefined;
    case "unchecked":
      return undefined;
  }
}
