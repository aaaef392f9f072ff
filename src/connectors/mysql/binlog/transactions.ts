import { type BinlogEvent, eventTypes } from "./event.ts";
import { type LoggedQuery, queryOf } from "./query.ts";

/** What an event is in the course of transactions. */
export interface Step {
  /** It begins a transaction, or a statement that is one by itself. */
  readonly begins: boolean;
  /** It is the last of one. */
  readonly ends: boolean;
  /** The statement, where the event is one. */
  readonly query: LoggedQuery | undefined;
}

/** When a transaction was committed, by the server's clock. */
export interface CommitTime {
  /** Microseconds since 1970. */
  readonly us: number;
  /**
   * Whether that is to the microsecond and of the commit. Else it is the second in which the
   * statement that committed it began.
   */
  readonly isExact: boolean;
}

/** Follows a log event by event. */
export interface TransactionTracker {
  see(event: BinlogEvent): Step;
  /** Whether what was seen last is in the middle of a transaction. */
  isInside(): boolean;
}

/** Whether the one statement behind a GTID of MariaDB's is all of its transaction. */
export function isStandalone({ body }: BinlogEvent): boolean {
  return (body[12]! & 1) !== 0;
}

/** Makes a tracker, which starts between transactions. */
export function createTracker(): TransactionTracker {
  let at: "outside" | "announced" | "inside" = "outside";

  function see(event: BinlogEvent): Step {
    const { type } = event;
    const before = at;
    const query = isQuery(type) ? queryOf(event) : undefined;
    if (isGtid(type)) {
      at = type === eventTypes.mariadbGtid && !isStandalone(event) ? "inside" : "announced";
    } else if (query !== undefined) {
      if (/^BEGIN\b|^XA START\b/i.test(query.sql)) at = "inside";
      else if (at !== "inside" || endsTransaction(query.sql)) at = "outside";
    } else if (
      type === eventTypes.xid || type === eventTypes.transactionPayload ||
      type === eventTypes.xaPrepare || type === eventTypes.incident
    ) {
      at = "outside";
    }
    return {
      begins: before === "outside" && at !== "outside",
      ends: before !== "outside" && at === "outside",
      query,
    };
  }

  return { see, isInside: () => at !== "outside" };
}

/** Whether an event announces a transaction. */
export function isGtid(type: number): boolean {
  return type === eventTypes.gtid || type === eventTypes.anonymousGtid ||
    type === eventTypes.taggedGtid || type === eventTypes.mariadbGtid;
}

/** Whether an event is a statement. */
export function isQuery(type: number): boolean {
  return type === eventTypes.query || type === eventTypes.mariadbQueryCompressed;
}

/** When the transaction that an event announces was committed. */
export function commitTimeOf({ type, body, timestamp }: BinlogEvent): CommitTime {
  const isMysql = type === eventTypes.gtid || type === eventTypes.anonymousGtid;
  // From 8.0.1 on: flags (1), source (16), number (8), the kind of the clocks (1), two of them (16).
  if (isMysql && body.length >= commitAt + 7) {
    const low = body.readUIntLE(commitAt, 6);
    // The highest bit says that another time follows.
    const high = body[commitAt + 6]! & 0x7f;
    return { us: high * 2 ** 48 + low, isExact: true };
  }
  return { us: timestamp * 1_000_000, isExact: false };
}

const commitAt = 42;

function endsTransaction(sql: string): boolean {
  return /^(?:COMMIT|ROLLBACK(?!\s+TO\b)|XA (?:COMMIT|ROLLBACK|PREPARE))\b/i.test(sql);
}
