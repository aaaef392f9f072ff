import { Buffer } from "node:buffer";

/** Reads the binary form of SSH's keys from start to end (RFC 4251, section 5). */
export interface Wire {
  /** @throws RangeError, as all of these, where the bytes end before */
  uint32(): number;
  /** Bytes, which their length comes before. */
  field(): Uint8Array<ArrayBuffer>;
  text(): string;
  /** A positive number, big-endian and without leading zeros. */
  number(): Uint8Array<ArrayBuffer>;
  /** So many bytes, without a length. */
  raw(length: number): Uint8Array<ArrayBuffer>;
  isAtEnd(): boolean;
}

/** Starts at the first of these bytes, which it keeps. */
export function openWire(bytes: Uint8Array): Wire {
  const buffer = Buffer.from(bytes);
  let at = 0;
  const wire: Wire = {
    uint32: () => Buffer.from(wire.raw(4)).readUInt32BE(),
    field: () => wire.raw(wire.uint32()),
    text: () => Buffer.from(wire.field()).toString("utf8"),
    number() {
      const bytes = wire.field();
      const start = bytes.findIndex((byte) => byte !== 0);
      return start < 0 ? new Uint8Array(0) : bytes.subarray(start);
    },
    raw(length) {
      if (length > buffer.byteLength - at) throw new RangeError("the key ends early");
      at += length;
      return new Uint8Array(buffer.subarray(at - length, at));
    },
    isAtEnd: () => at === buffer.byteLength,
  };
  return wire;
}
