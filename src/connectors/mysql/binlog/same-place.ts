import type { Abortable } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { MysqlAddress } from "../address.ts";
import type { Flavour } from "../server.ts";
import { type BinlogEvent, eventTypes } from "./event.ts";
import { crcOf } from "./piece.ts";
import { type LogPlace, type Place, textOf } from "./place.ts";
import { receiveLog } from "./receive.ts";

/**
 * Makes sure that what stands in a server's log before a place is what stood there when a backup
 * ended: files' names are used again after RESET MASTER, a failover or a machine's rollback.
 *
 * @throws BackupError `dump/cannot-continue`
 */
export async function assertSamePlace(
  address: MysqlAddress,
  flavour: Flavour,
  place: Place,
  o: Abortable,
): Promise<void> {
  const check = createPlaceCheck(place);
  for await (const { event } of receiveLog(address, flavour, readFrom(place), o)) {
    if (check.see(event) === "after") return;
  }
  check.end();
}

/** Where to begin reading, so that the last event before a place comes along. */
export function readFrom({ file, offset, last }: Place): LogPlace {
  return { file, offset: last?.start ?? offset };
}

/** Looks at the events that are read from {@link readFrom} on. */
export interface PlaceCheck {
  /**
   * `head` is the log's description, which comes first; `before` stands before the place, and is as it
   * was; `after` is what follows.
   *
   * @throws BackupError `dump/cannot-continue`
   */
  see(event: BinlogEvent): "head" | "before" | "after";
  /** The log ends here. @throws BackupError `dump/cannot-continue` */
  end(): void;
}

/** Makes a check of a place. */
export function createPlaceCheck(place: Place): PlaceCheck {
  let isChecked = place.last === undefined;
  return {
    see(event) {
      const isHead = event.type === eventTypes.description;
      if (isHead && place.begun !== undefined && place.begun !== event.timestamp && !isChecked) {
        throw otherLog(place);
      }
      if (isHead && event.end === 0) return "head";
      if (isChecked) return "after";
      isChecked = true;
      const isSame = crcOf(event) === place.last?.crc && event.end === place.offset % 2 ** 32;
      if (!isSame) throw otherLog(place);
      return "before";
    },
    end() {
      if (!isChecked) throw otherLog(place);
    },
  };
}

function otherLog(place: Place): BackupError {
  return new BackupError(
    "dump/cannot-continue",
    `what stands before ${
      textOf(place)
    } is not what was backed up: the log was begun anew, or is ` +
      "another server's",
  );
}
