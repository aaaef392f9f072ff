import { Buffer } from "node:buffer";
import type { Bytes } from "../../../core/bytes.ts";
import {
  assertChecksum,
  binlogError,
  type BinlogEvent,
  eventOf,
  eventTypes,
  hasChecksums,
  headerBytes,
  magic,
} from "./event.ts";

/** Cuts a file of a binary log into its events, whatever way its bytes come. */
export interface EventReader {
  /**
   * Takes the next bytes. The events keep what they need of them.
   *
   * @throws BackupError `verification/structure` for what is no binary log, or was changed
   */
  push(chunk: Uint8Array): Generator<BinlogEvent>;
  /** Whether the last byte taken ended an event, behind the log's description. */
  isBetweenEvents(): boolean;
}

/** Makes a reader, which checks the length and the checksum of each event. */
export function createEventReader(): EventReader {
  let rest: Buffer = Buffer.alloc(0);
  /** Chunks of an event that is not whole yet, with what is still missing of it. */
  let parts: Buffer[] = [];
  let missing = 0;
  let isBegun = false;
  let isDescribed = false;
  let hasChecksum = false;

  function* push(chunk: Uint8Array): Generator<BinlogEvent> {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (missing > bytes.length) {
      parts.push(Buffer.from(bytes));
      missing -= bytes.length;
      return;
    }
    parts.push(bytes);
    rest = Buffer.concat(parts);
    parts = [];
    missing = 0;
    let at = 0;
    if (!isBegun) {
      if (rest.length < magic.length) return hold(at, magic.length);
      if (!rest.subarray(0, magic.length).equals(magic)) {
        throw binlogError("does not begin as one");
      }
      isBegun = true;
      at = magic.length;
    }
    while (at < rest.length) {
      if (rest.length - at < headerBytes) return hold(at, headerBytes);
      const length = rest.readUInt32LE(at + 9);
      if (length < headerBytes) throw binlogError("has an event whose length is wrong");
      if (rest.length - at < length) return hold(at, length);
      yield read(rest.subarray(at, at + length));
      at += length;
    }
    rest = rest.subarray(at);
  }

  /** Keeps what there is of something of `length` bytes. */
  function hold(at: number, length: number): void {
    const held = Buffer.from(rest.subarray(at));
    parts = [held];
    missing = length - held.length;
    rest = held;
  }

  function read(bytes: Buffer): BinlogEvent {
    const event = eventOf(bytes, hasChecksum);
    if (event.type === eventTypes.description) {
      hasChecksum = hasChecksums(event);
      isDescribed = true;
    } else if (!isDescribed) {
      throw binlogError("does not begin with its description");
    }
    // Of a log without checksums, the description keeps that of its file when it is sent again in
    // the middle of it, where it is not right any more.
    if (hasChecksum) assertChecksum(event);
    return event;
  }

  return { push, isBetweenEvents: () => isDescribed && missing === 0 && rest.length === 0 };
}

/**
 * The events of a piece of a log, in their order.
 *
 * @throws BackupError `verification/structure`, and those of the bytes
 */
export async function* readEvents(bytes: Bytes): AsyncGenerator<BinlogEvent> {
  const reader = createEventReader();
  for await (const chunk of bytes) yield* reader.push(chunk);
  if (!reader.isBetweenEvents()) throw binlogError("ends in the middle of an event");
}
