import { Buffer } from "node:buffer";

/** One packet of the client/server protocol. */
export interface Packet {
  /** Its place in an exchange, from 0. */
  readonly sequence: number;
  readonly payload: Buffer;
}

/**
 * Cuts what comes from one side into packets: three bytes of length, one of sequence, the payload
 * (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html).
 */
export function createPacketReader() {
  let rest: Buffer = Buffer.alloc(0);
  return {
    /** Takes bytes in. */
    push(chunk: Uint8Array): void {
      rest = Buffer.concat([rest, chunk]);
    },
    /** The next whole packet; undefined while it has not come. */
    next(): Packet | undefined {
      if (rest.length < 4) return undefined;
      const end = 4 + rest.readUIntLE(0, 3);
      if (rest.length < end) return undefined;
      const packet = { sequence: rest[3]!, payload: rest.subarray(4, end) };
      rest = rest.subarray(end);
      return packet;
    },
    /** What has come and was not taken out. */
    rest(): Buffer {
      const left = rest;
      rest = Buffer.alloc(0);
      return left;
    },
  };
}

/** A packet as it goes over the wire. */
export function encodePacket({ sequence, payload }: Packet): Buffer {
  const head = Buffer.alloc(4);
  head.writeUIntLE(payload.length, 0, 3);
  head[3] = sequence & 0xff;
  return Buffer.concat([head, payload]);
}
