import { elements, find, inner, noDocument } from "../archive/bson.ts";
import type { OplogEntry } from "./entry.ts";
import type { Spool } from "./spool.ts";

/** A transaction whose end is not there yet. */
export interface OpenTransaction {
  /** Tells it from all others. */
  readonly key: string;
  /** When its first entry was written. */
  readonly since: { readonly t: number; readonly i: number };
}

/** Puts transactions together, whose operations count when their last entry comes. */
export interface Transactions {
  /**
   * Takes an entry of one.
   *
   * @param isWhole whether it has all operations that it was written with; of a base's own oplog those
   * on collections that are not in the base are left out
   * @returns the operations that count now, in order, and what they are held in, to be dropped once
   * they are applied; undefined while it is under way, or where it was aborted
   * @throws BrokenTransaction where its beginning was never seen, or a part is missing
   */
  take(entry: OplogEntry, isWhole: boolean): Spool | undefined;
  /** Those that are under way, the oldest first. */
  open(): OpenTransaction[];
}

/** A transaction that is not whole. */
export class BrokenTransaction extends Error {
  override readonly name = "BrokenTransaction";
}

/** One under way; `count` is of its operations, where all of its entries were seen. */
type Begun = OpenTransaction & { readonly held: Spool; count: number | undefined };

/**
 * @param spool makes what the operations of one are held in
 * @param begun those whose first entries are known and not seen here
 */
export function transactions(
  spool: () => Spool,
  begun: readonly OpenTransaction[] = [],
): Transactions {
  const underWay = new Map<string, Begun>(
    begun.map((one) => [one.key, { ...one, held: spool(), count: undefined }]),
  );

  function begunBy({ transaction, time: { t, i } }: OplogEntry) {
    const { key, isContinued } = transaction!;
    const known = underWay.get(key);
    if (known !== undefined && isContinued) return known;
    if (isContinued) throw new BrokenTransaction("its first entries are missing");
    known?.held.drop();
    const fresh: Begun = { key, since: { t, i }, held: spool(), count: 0 };
    underWay.set(key, fresh);
    return fresh;
  }

  return {
    take(entry, isWhole) {
      const { key, type, count } = entry.transaction!;
      if (type === "abort") {
        underWay.get(key)?.held.drop();
        underWay.delete(key);
        return undefined;
      }
      const one = begunBy(entry);
      if (!isWhole) one.count = undefined;
      if (type !== "commit") {
        for (const { value } of elements(inner(find(entry.object, "applyOps")) ?? noDocument)) {
          one.held.push(value);
          if (one.count !== undefined) one.count++;
        }
      }
      if (count !== undefined && one.count !== undefined && count !== one.count) {
        throw new BrokenTransaction(`it has ${one.count} of ${count} operations`);
      }
      if (type === "part" || type === "prepare") return undefined;
      underWay.delete(key);
      return one.held;
    },
    open: () => [...underWay.values()].map(({ key, since }) => ({ key, since })),
  };
}
