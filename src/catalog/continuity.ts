import type { Positions } from "../contracts/changes.ts";
import type { Manifest, Position } from "../contracts/manifest.ts";
import { BackupError } from "../core/errors.ts";
import { canonicalJson } from "../core/json.ts";

/** Whether nothing lies between where one backup ended and where the next one starts. */
export type Joins = (to: Position, from: Position) => boolean;

/** How positions join: as the kind of database compares them, else only where they are the same. */
export function joinsOf(positions: Positions | undefined): Joins {
  return (to, from) =>
    canonicalJson(to) === canonicalJson(from) || positions?.compare(to, from) === 0;
}

/** A parent as it is stored. */
export interface StoredParent {
  readonly manifest: Manifest;
  /** Of its `manifest.json`, byte by byte. */
  readonly sha256: string;
}

/**
 * Makes sure that a backup goes on exactly where its parent ended, and that this is the parent it was
 * made with: when it is made, before it is committed, when it is verified and when it is restored.
 *
 * @throws BackupError `verification/broken-chain` for another parent, `verification/gap` where
 * something lies between
 */
export function assertFollows(
  child: Manifest,
  { manifest: parent, sha256 }: StoredParent,
  joins: Joins,
): void {
  const named = child.parent;
  const isSame = named !== null && named.id === parent.id && named.manifestSha256 === sha256 &&
    child.source.tag === parent.source.tag && child.job === parent.job;
  if (!isSame) {
    throw new BackupError(
      "verification/broken-chain",
      `Backup ${child.id} cannot be restored: ${parent.id} is not what it was when ${child.id} was made`,
      { hint: "Restore an older backup, or look for the right copy at another destination." },
    );
  }
  if (child.kind === "differential" && parent.kind !== "full") {
    throw new BackupError(
      "verification/broken-chain",
      `Backup ${child.id} is differential and builds on ${parent.id}, which is ${parent.kind}`,
      { hint: "Somebody changed the manifests. Restore an older backup." },
    );
  }
  assertJoin(
    child.position.from,
    parent.position.to,
    { before: parent.id, after: child.id },
    joins,
  );
}

/**
 * Makes sure that the pieces of the change log in a backup follow one another without a gap, from
 * where it starts to where it ends.
 *
 * @throws BackupError `verification/gap`
 */
export function assertContinuous({ id, position, artifacts }: Manifest, joins: Joins): void {
  const pieces = artifacts.filter(({ from, to }) => from !== undefined || to !== undefined);
  if (pieces.length === 0) return;
  let end = position.from;
  let before = `the start of ${id}`;
  for (const { from, to, volumes } of pieces) {
    const name = `"${volumes[0]!.name}"`;
    assertJoin(from, end, { before, after: name }, joins);
    [end, before] = [to, name];
  }
  assertJoin(position.to, end, { before, after: `the end of ${id}` }, joins);
}

function assertJoin(
  from: Position | undefined,
  to: Position | undefined,
  { before, after }: { readonly before: string; readonly after: string },
  joins: Joins,
): void {
  if (from !== undefined && to !== undefined && joins(to, from)) return;
  throw new BackupError(
    "verification/gap",
    `Changes are missing between ${before} and ${after}: one ends at ${
      textOf(to)
    }, the other starts ` +
      `at ${textOf(from)}`,
    { hint: "Restore to a moment before the gap, and take a new full backup." },
  );
}

function textOf(position: Position | undefined): string {
  return position === undefined ? "no position" : canonicalJson(position)!;
}
