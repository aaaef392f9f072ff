import { createHash } from "node:crypto";
import {
  type Element,
  elements,
  find,
  halves,
  inner,
  isSet,
  noDocument,
  text,
  types,
} from "../archive/bson.ts";
import { type OplogTime, splitNamespace } from "../archive/oplog.ts";

/** What an entry of the oplog, or an operation inside one, does. */
export interface Operation {
  /** `i`, `u`, `d`, `c` (a command) or `n` (noDocument). */
  readonly op: string;
  readonly db: string;
  /** `$cmd` for commands. */
  readonly collection: string;
  /** The document, what changes in it, its `_id`, or the command. */
  readonly object: Uint8Array;
  /** Of `u`: the `_id` of the document. */
  readonly target: Uint8Array | undefined;
}

/** An entry of the oplog. */
export interface OplogEntry extends Operation {
  readonly time: OplogTime;
  /** When it was written, in milliseconds since 1970; see {@link instantOf}. */
  readonly instantMs: number;
  /** What it is in a transaction; undefined where it counts by itself. */
  readonly transaction: TransactionStep | undefined;
}

/** One entry of a transaction. */
export interface TransactionStep {
  /** Tells the transaction from all others. */
  readonly key: string;
  /**
   * `part`: more follow. `prepare`: it is whole, and a commit or an abort follows. `end`: it is whole,
   * and counts from here on. `commit`, `abort`: how one that was prepared ended.
   */
  readonly type: "part" | "prepare" | "end" | "commit" | "abort";
  /** Whether earlier entries are parts of it. */
  readonly isContinued: boolean;
  /** How many operations it has in all, where the entry says so. */
  readonly count: number | undefined;
}

/** Reads an operation. @throws BsonError */
export function readOperation(document: Uint8Array): Operation {
  const { op, ns, o, o2 } = fieldsOf(document);
  return operationOf(op, ns, o, o2);
}

/** Reads an entry; undefined where it has no time, which no entry of an oplog lacks. @throws BsonError */
export function readEntry(document: Uint8Array): OplogEntry | undefined {
  const fields = fieldsOf(document);
  const ts = fields.ts?.type === types.timestamp ? halves(fields.ts) : undefined;
  if (ts === undefined || text(fields.op) === undefined) return undefined;
  const time = { t: ts[0] >>> 0, i: ts[1] >>> 0, term: termOf(fields.t) };
  const operation = operationOf(fields.op, fields.ns, fields.o, fields.o2);
  return {
    ...operation,
    time,
    instantMs: instantOf(time, fields.wall),
    transaction: stepOf(operation, fields),
  };
}

type Fields = Partial<Record<string, Element>>;

function fieldsOf(document: Uint8Array): Fields {
  const fields: Fields = {};
  for (const one of elements(document)) fields[one.name] = one;
  return fields;
}

function operationOf(
  op: Element | undefined,
  ns: Element | undefined,
  o: Element | undefined,
  o2: Element | undefined,
): Operation {
  return {
    op: text(op) ?? "",
    ...splitNamespace(text(ns) ?? ""),
    object: inner(o) ?? noDocument,
    target: inner(o2),
  };
}

function termOf(t: Element | undefined): number | undefined {
  const parts = t?.type === types.int64 ? halves(t) : undefined;
  return parts?.[1];
}

/**
 * The instant of an entry. Its order is that of its timestamp, whose first half counts seconds and
 * never goes back, whatever the clocks of the members do; the milliseconds within them are the wall
 * clock's, where that agrees.
 */
function instantOf({ t }: OplogTime, wall: Element | undefined): number {
  const parts = wall?.type === types.date ? halves(wall) : undefined;
  const wallMs = parts === undefined ? undefined : parts[0] * 2 ** 32 + (parts[1] >>> 0);
  const seconds = wallMs === undefined ? Infinity : Math.floor(wallMs / 1000);
  if (wallMs !== undefined && seconds === t) return wallMs;
  return seconds < t ? t * 1000 : t * 1000 + 999;
}

function stepOf(
  { op, object }: Operation,
  { lsid, txnNumber, prevOpTime, multiOpType }: Fields,
): TransactionStep | undefined {
  const session = inner(lsid);
  if (op !== "c" || session === undefined || txnNumber === undefined) return undefined;
  const [first] = elements(object);
  const key = createHash("sha256").update(session).update(txnNumber.value).digest("hex")
    .slice(0, 24);
  const step = { key, count: undefined, isContinued: true };
  if (first?.name === "commitTransaction") return { ...step, type: "commit" };
  if (first?.name === "abortTransaction") return { ...step, type: "abort" };
  // From 8.0 on, one entry may hold several retryable writes, each of which counts by itself.
  if (first?.name !== "applyOps" || isSet(multiOpType)) return undefined;
  const count = find(object, "count");
  return {
    key,
    type: isSet(find(object, "partialTxn"))
      ? "part"
      : isSet(find(object, "prepare"))
      ? "prepare"
      : "end",
    isContinued: isSet(find(inner(prevOpTime) ?? noDocument, "ts")),
    count: count === undefined ? undefined : numberOf(count),
  };
}

/** The value of an integer of either width, or a double. */
export function numberOf({ type, value }: Element): number {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (type === types.int32) return view.getInt32(0, true);
  if (type === types.int64) return Number(view.getBigInt64(0, true));
  return value.byteLength === 8 ? view.getFloat64(0, true) : NaN;
}
