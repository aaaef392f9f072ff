import { type BinlogEvent, eventTypes, isRows } from "./event.ts";

/**
 * What is only about the log itself, or a remark in it: STOP, ROTATE, the original text of a statement
 * (29, 160), the GTIDs before a file (35, 163), group replication's notes (36, 37), a checkpoint (161).
 */
const remarks: readonly number[] = [3, eventTypes.rotate, 29, 35, 36, 37, 160, 161, 163];

/** Whether an event changes nothing and is not replayed. */
export function isRemark({ type }: BinlogEvent): boolean {
  return remarks.includes(type);
}

/** Whether an event is known here, so that it can be replayed or passed over. */
export function isKnown(event: BinlogEvent): boolean {
  const { type } = event;
  return isRemark(event) || isRows(type) || replayed.includes(type);
}

const replayed: readonly number[] = [
  eventTypes.query,
  eventTypes.mariadbQueryCompressed,
  eventTypes.description,
  eventTypes.xid,
  eventTypes.tableMap,
  eventTypes.gtid,
  eventTypes.anonymousGtid,
  eventTypes.mariadbGtid,
  eventTypes.transactionPayload,
];
