import { isKnownKind } from "../contracts/manifest.ts";
import type { BackupRef } from "../contracts/strategy.ts";

/** The full backup that was begun last; undefined where there is none. */
export function newestFull(history: readonly BackupRef[]): BackupRef | undefined {
  return placed(history).filter(({ ref }) => ref.kind === "full").sort(inOrder).at(-1)?.ref;
}

/**
 * The backup that was taken last. What builds on another is newer than that, whatever the clocks of
 * the machines said, and of one second, too.
 */
export function newestOf(history: readonly BackupRef[]): BackupRef | undefined {
  return placed(history).sort(inOrder).at(-1)?.ref;
}

interface Placed {
  readonly ref: BackupRef;
  /** When it was begun, but never before what it builds on. */
  readonly atMs: number;
  /** How many it builds on. */
  readonly depth: number;
}

function inOrder(a: Placed, b: Placed): number {
  return a.atMs - b.atMs || a.depth - b.depth || (a.ref.id < b.ref.id ? -1 : 1);
}

/** Those that something can build on: of known kinds all the way down, with what they build on. */
function placed(history: readonly BackupRef[]): Placed[] {
  const byId = new Map(history.map((ref) => [ref.id, ref]));
  const known = new Map<string, Placed | undefined>();
  function place(ref: BackupRef): Placed | undefined {
    if (known.has(ref.id)) return known.get(ref.id);
    known.set(ref.id, undefined);
    const { parentId, createdAt } = ref;
    const parentRef = parentId === undefined ? undefined : byId.get(parentId);
    const parent = parentRef && place(parentRef);
    if (!isKnownKind(ref.kind) || (parentId !== undefined && parent === undefined)) {
      return undefined;
    }
    const atMs = Math.max(createdAt.getTime(), parent?.atMs ?? -Infinity);
    const one = { ref, atMs, depth: parent === undefined ? 0 : parent.depth + 1 };
    known.set(ref.id, one);
    return one;
  }
  return history.flatMap((ref) => place(ref) ?? []);
}
