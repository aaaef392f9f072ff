import { z } from "zod";
import type { Positions } from "../../../contracts/changes.ts";
import type { Position } from "../../../contracts/manifest.ts";
import { BackupError } from "../../../core/errors.ts";
import type { OpenTransaction } from "./transactions.ts";

/** Where a backup stands in the oplog. */
const oplogSchema = z.looseObject({
  type: z.literal("oplog"),
  /** Seconds since 1970, and a count within the second. */
  t: z.number().int().nonnegative(),
  i: z.number().int().nonnegative(),
  /** The election that the entry was written after; 0 or absent where that is not known. */
  term: z.number().int().optional(),
  /** Whether the backup shows the state at this entry, and no other. */
  isConsistent: z.boolean().optional(),
  /** Transactions that had begun and not ended: their first entries lie before it. */
  open: z.array(
    z.object({ key: z.string(), since: z.object({ t: z.number(), i: z.number() }) }),
  ).optional(),
});
/** See {@link oplogSchema}. */
export type OplogPosition = z.infer<typeof oplogSchema>;

/** The position as one of an oplog; undefined where it is of another log. */
export function oplogPosition(position: Position | undefined): OplogPosition | undefined {
  return oplogSchema.safeParse(position).data;
}

/** A position behind an entry. */
export function positionAt(
  { t, i, term }: { readonly t: number; readonly i: number; readonly term?: number | undefined },
  open: readonly OpenTransaction[],
): OplogPosition {
  const shown = open.length === 0 ? {} : { open: [...open] };
  return { type: "oplog", t, i, term: term ?? 0, isConsistent: true, ...shown };
}

/** Negative where the first is before the other, positive where it is after it. */
export function compareTimes(
  a: { readonly t: number; readonly i: number },
  b: { readonly t: number; readonly i: number },
): number {
  return a.t - b.t || a.i - b.i;
}

/** How positions relate: a later election never writes an earlier entry. */
export const positions: Positions = {
  compare(a, b) {
    const [one, other] = [oplogPosition(a), oplogPosition(b)];
    if (one === undefined || other === undefined) return undefined;
    const order = compareTimes(one, other);
    const [term, otherTerm] = [one.term ?? 0, other.term ?? 0];
    const isKnown = term > 0 && otherTerm > 0;
    if (isKnown && term !== otherTerm && Math.sign(term - otherTerm) !== Math.sign(order)) {
      return undefined;
    }
    return order;
  },
  parse(text) {
    const [, t, i] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? [];
    if (t === undefined || i === undefined) {
      throw new BackupError("usage/bad-position", `Cannot read the position "${text}"`, {
        hint: "Write it as T:I, the two halves of an oplog's timestamp: 1795858231:161.",
      });
    }
    return { type: "oplog", t: Number(t), i: Number(i) };
  },
  format(position) {
    const known = oplogPosition(position);
    return known === undefined ? JSON.stringify(position) : `${known.t}:${known.i}`;
  },
};
