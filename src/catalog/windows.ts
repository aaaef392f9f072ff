import type { Window } from "../contracts/changes.ts";
import type { Manifest } from "../contracts/manifest.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import { createSweeper } from "../core/memory.ts";
import { familiesOf, goodBackups, keyOf } from "./choose.ts";
import { sealOf } from "./seal.ts";

/** From when to when a full backup and what builds on it can restore. */
export interface ChainWindow extends Window {
  readonly job: string;
  readonly sourceTag: string;
  /** The full backup's id. */
  readonly baseId: string;
  /** How many backups that are good with all that they build on. */
  readonly backups: number;
  /** True where a log is kept: any moment between, else those of the backups alone. */
  readonly isAnyMoment: boolean;
}

/** A backup whose moments its seal tells, or its manifest where there is none. */
type Dated = BackupRef & { readonly manifest?: Moments | undefined };
type Moments = Pick<Manifest, "window" | "consistentAt">;

/**
 * The windows of the chains among some backups, newest first: of each full one that others build on,
 * or that a log begins at. What is damaged, or lacks what it builds on, counts for nothing.
 */
export function windowsOf(backups: readonly Dated[]): ChainWindow[] {
  return [...familiesOf(goodBackups(chained(backups)))].flatMap(([root, all]) =>
    windowOf(root, all) ?? []
  )
    .sort((a, b) => b.to.getTime() - a.to.getTime());
}

/** Without the full ones that stand alone, which are most of many. */
function chained(backups: readonly Dated[]): Dated[] {
  const bases = new Set(
    backups.flatMap((one) => one.parentId === undefined ? [] : [keyOf(one, one.parentId)]),
  );
  const sweep = createSweeper();
  return backups.filter((one) => {
    sweep();
    return one.parentId !== undefined || (bases.size > 0 && bases.has(keyOf(one, one.id))) ||
      momentsOf(one)?.isOfLog === true;
  });
}

function windowOf(root: Dated, all: readonly Dated[]): ChainWindow | undefined {
  const moments = all.flatMap((one) => momentsOf(one) ?? []);
  const isAnyMoment = moments.some(({ isOfLog }) => isOfLog);
  if (moments.length < all.length || (all.length === 1 && !isAnyMoment)) return undefined;
  const { job, sourceTag, id: baseId } = root;
  return {
    job,
    sourceTag,
    baseId,
    backups: all.length,
    isAnyMoment,
    from: new Date(Math.min(...moments.map(({ from }) => from.getTime()))),
    to: new Date(Math.max(...moments.map(({ to }) => to.getTime()))),
  };
}

/** Undefined where nothing at hand tells. */
function momentsOf({ files, manifest }: Dated): Window & { isOfLog: boolean } | undefined {
  const facts = sealOf(files.keys())?.facts;
  const window = facts?.window ?? windowIn(manifest?.window);
  if (window !== undefined) return { ...window, isOfLog: true };
  const at = facts?.consistentAt ?? (manifest && new Date(manifest.consistentAt));
  return at && { from: at, to: at, isOfLog: false };
}

/** The window that a manifest tells of. */
export function windowIn(window: Manifest["window"]): Window | undefined {
  return window && { from: new Date(window.from), to: new Date(window.to) };
}
