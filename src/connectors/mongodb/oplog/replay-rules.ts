import type { ReplaySink } from "./sink.ts";
import type { Spool } from "./spool.ts";
import type { OpenTransaction } from "./transactions.ts";

/** What of an oplog is replayed, and onto what. */
export interface ReplayRules {
  readonly sink: ReplaySink;
  /** What transactions are held in until they end. */
  readonly spool: () => Spool;
  /** The database's name on the target; undefined for a collection that is left out. */
  nameOf(db: string, collection: string): string | undefined;
  /** Whether a database is only there on the way, and goes at the end. */
  isPassing?(db: string): boolean;
  /** Transactions that had begun before the first entry that this replay is given. */
  readonly begun?: readonly OpenTransaction[];
  /** Asked before the first collection is made in a database that the base did not have. */
  onDatabase?(db: string): Promise<void>;
}
