import { type BinlogEvent, eventTypes } from "./event.ts";
import { createGtidState, type GtidState } from "./gtid.ts";
import type { LogPlace, Place } from "./place.ts";

/** Follows where in the server's files a log is that is read from a place on. */
export interface LogCursor {
  /**
   * Takes the next event.
   *
   * @returns whether its place in the file is what it says itself; it is not, where something is
   * missing
   */
  see(file: string, event: BinlogEvent): boolean;
  /** Where the log stands now, with all GTIDs: too much to say for each event. */
  place(): Place;
  /** The same, said as the beginning of a file that follows. */
  startOf(file: string): Place;
  /** The file and the offset alone. */
  at(): LogPlace;
}

// Where the first event of a file is, behind its magic number.
const firstOffset = 4;

/**
 * Makes a cursor.
 *
 * @param server MySQL's server_uuid, for the places
 */
export function createCursor(from: Place, server: string | undefined): LogCursor {
  let { file, offset, begun, last } = from;
  const gtid: GtidState = createGtidState(from.gtid);
  const common = () => ({
    type: "binlog" as const,
    gtid: gtid.text(),
    ...server === undefined ? {} : { server },
  });

  return {
    see(nextFile, event) {
      if (nextFile !== file) [file, offset, last] = [nextFile, firstOffset, undefined];
      const { type, end, bytes } = event;
      if (type === eventTypes.description) begun = event.timestamp;
      // The description is sent again to who begins in the middle of a file.
      if (type === eventTypes.description && end === 0) return true;
      last = { start: offset, crc: crcOf(event) };
      offset += bytes.length;
      gtid.see(event);
      // A place is told in 32 bits, and a transaction of gigabytes goes beyond.
      return end === offset % 2 ** 32;
    },
    place: () => ({
      ...common(),
      file,
      offset,
      ...begun === undefined ? {} : { begun },
      ...last === undefined ? {} : { last },
    }),
    startOf: (next) => ({ ...common(), file: next, offset: firstOffset }),
    at: () => ({ file, offset }),
  };
}

/** What tells an event from another in its place: the checksum, or what stands where it would. */
export function crcOf({ bytes }: BinlogEvent): number {
  return bytes.readUInt32LE(bytes.length - 4);
}
