import type { BackupRef } from "../contracts/strategy.ts";
import { BackupError } from "../core/errors.ts";
import { momentOf } from "./moment.ts";
import { isDamaged } from "./standing.ts";

/**
 * The backup that an id means, which may be shortened while it is unique. The same backup at several
 * destinations counts once.
 *
 * @throws BackupError `usage/no-such-backup`, `usage/ambiguous-backup`
 */
export function resolveBackup(refs: readonly BackupRef[], idOrStart: string): BackupRef {
  const start = idOrStart.toLowerCase();
  const exact = refs.filter(({ id, prefix }) => id === start || isFolder(prefix, idOrStart));
  const matching = exact.length > 0 || start === ""
    ? exact
    : refs.filter(({ id }) => id.startsWith(start));
  const different = [...new Map(matching.map((ref) => [ref.prefix, ref])).values()];
  if (different.length === 1) return different[0]!;
  if (different.length === 0) {
    const ofJob = latest(refs, idOrStart);
    if (ofJob !== undefined) {
      throw new BackupError("usage/no-such-backup", `"${idOrStart}" is a job, not a backup`, {
        hint: `Its newest backup is ${ofJob.id}.`,
      });
    }
    throw new BackupError("usage/no-such-backup", `There is no backup "${idOrStart}"`, {
      hint: refs.length === 0
        ? "There is no backup here at all: check the destination."
        : "`dbbackup list`, with the same --from or --config, shows the ids.",
    });
  }
  const candidates = different.map(({ id, job, createdAt }) =>
    `${id} (${job}, ${createdAt.toISOString()})`
  );
  const shown = candidates.slice(0, 10).join(", ");
  throw new BackupError(
    "usage/ambiguous-backup",
    `"${idOrStart}" is the start of ${different.length} backups' ids`,
    {
      hint: `Write more of it: ${shown}${candidates.length > 10 ? ", …" : "."}`,
      details: { candidates: different.map(({ id }) => id) },
    },
  );
}

/** A folder's key tells a copy apart from the backup that it was copied from. */
function isFolder(prefix: string, written: string): boolean {
  return prefix === written || prefix === `${written}/`;
}

/** The newest backup of a job, and of one source where given; undefined when there is none. */
export function latest(
  refs: readonly BackupRef[],
  job: string,
  sourceTag?: string,
): BackupRef | undefined {
  return refs
    .filter((ref) => ref.job === job && (sourceTag ?? ref.sourceTag) === ref.sourceTag)
    .reduce<BackupRef | undefined>(
      (newest, ref) => newest === undefined || momentOf(ref) >= momentOf(newest) ? ref : newest,
      undefined,
    );
}

/** Those that are there with all they build on, none of it damaged by its marks; in order. */
export function goodBackups<R extends BackupRef>(refs: readonly R[]): R[] {
  const byKey = new Map(refs.map((ref) => [keyOf(ref, ref.id), ref]));
  const known = new Map<R, boolean>();
  const judge = (ref: R): boolean => {
    const before = known.get(ref);
    if (before !== undefined) return before;
    // Names that lead in a circle are nobody's chain.
    known.set(ref, false);
    const parent = ref.parentId === undefined ? undefined : byKey.get(keyOf(ref, ref.parentId));
    const isWhole = ref.parentId === undefined || (parent !== undefined && judge(parent));
    const isGood = isWhole && !isDamaged(ref);
    known.set(ref, isGood);
    return isGood;
  };
  return refs.filter(judge);
}

/** Good backups by the full one that they build on, which is among its own. */
export function familiesOf<R extends BackupRef>(good: readonly R[]): Map<R, R[]> {
  const byKey = new Map(good.map((ref) => [keyOf(ref, ref.id), ref]));
  const known = new Map<R, R>();
  const rootOf = (ref: R): R => {
    const before = known.get(ref);
    if (before !== undefined) return before;
    const parent = ref.parentId === undefined ? undefined : byKey.get(keyOf(ref, ref.parentId));
    const root = parent === undefined ? ref : rootOf(parent);
    known.set(ref, root);
    return root;
  };
  return Map.groupBy(good, rootOf);
}

/** What tells a backup from all others, of the backup or its parent: both are of one job and source. */
export function keyOf({ job, sourceTag }: BackupRef, id: string): string {
  return `${sourceTag} ${id} ${job}`;
}

/** True where a backup builds on the other one, which is of its own job and source. */
export function buildsOn(child: BackupRef, parent: BackupRef): boolean {
  return child.parentId === parent.id && child.job === parent.job &&
    child.sourceTag === parent.sourceTag;
}

/** What a backup builds on; undefined for a full one, and where it is not among these. */
export function parentOf(child: BackupRef, refs: readonly BackupRef[]): BackupRef | undefined {
  return refs.find((other) => buildsOn(child, other));
}

/** From the full backup to this one; shorter where a link is missing. */
export function linksOf(refs: readonly BackupRef[], ref: BackupRef): BackupRef[] {
  const chain = [ref];
  while (chain[0]!.parentId !== undefined) {
    const parent = parentOf(chain[0]!, refs);
    // Names that lead in a circle are nobody's chain.
    if (parent === undefined || chain.includes(parent)) break;
    chain.unshift(parent);
  }
  return chain;
}

/**
 * What restores a backup: the full one first, the backup itself last.
 *
 * @throws BackupError `verification/broken-chain` when a parent is missing
 */
export function chainOf(refs: readonly BackupRef[], ref: BackupRef): BackupRef[] {
  const chain = linksOf(refs, ref);
  const { id, parentId } = chain[0]!;
  if (parentId === undefined) return chain;
  throw new BackupError(
    "verification/broken-chain",
    `Backup ${ref.id} cannot be restored: ${parentId}, which ${id} builds on, is missing`,
    { hint: "Restore an older backup, or look for the missing one at another destination." },
  );
}
