/**
 * A running CRC-64 (ECMA-182, reflected, as Go's `crc64.ECMA`), which mongodump keeps for each
 * namespace. JavaScript has no 64-bit integers that are fast, so it is held in two halves of 32 bits
 * and takes 8 bytes a step ("slicing by 8").
 */
export interface Crc64 {
  update(bytes: Uint8Array): void;
  /** The upper and lower 32 bits, as signed integers. */
  value(): readonly [upper: number, lower: number];
}

/** 8 tables of 256 entries, upper and lower halves: made at first use, 16 KiB. */
let tables: { upper: Int32Array; lower: Int32Array } | undefined;

/** Starts at the CRC of nothing, which is 0. */
export function crc64(): Crc64 {
  const { upper, lower } = tables ??= makeTables();
  let high = -1;
  let low = -1;
  return {
    update(bytes) {
      const length = bytes.length;
      let at = 0;
      let h = high;
      let l = low;
      for (const end = length - 7; at < end; at += 8) {
        const b0 = (l ^ bytes[at]!) & 255 | 1792;
        const b1 = (l >>> 8 ^ bytes[at + 1]!) & 255 | 1536;
        const b2 = (l >>> 16 ^ bytes[at + 2]!) & 255 | 1280;
        const b3 = (l >>> 24 ^ bytes[at + 3]!) & 255 | 1024;
        const b4 = (h ^ bytes[at + 4]!) & 255 | 768;
        const b5 = (h >>> 8 ^ bytes[at + 5]!) & 255 | 512;
        const b6 = (h >>> 16 ^ bytes[at + 6]!) & 255 | 256;
        const b7 = (h >>> 24 ^ bytes[at + 7]!) & 255;
        h = upper[b0]! ^ upper[b1]! ^ upper[b2]! ^ upper[b3]! ^
          upper[b4]! ^ upper[b5]! ^ upper[b6]! ^ upper[b7]!;
        l = lower[b0]! ^ lower[b1]! ^ lower[b2]! ^ lower[b3]! ^
          lower[b4]! ^ lower[b5]! ^ lower[b6]! ^ lower[b7]!;
      }
      for (; at < length; at++) {
        const index = (l ^ bytes[at]!) & 255;
        l = (l >>> 8 | h << 24) ^ lower[index]!;
        h = h >>> 8 ^ upper[index]!;
      }
      high = h;
      low = l;
    },
    value: () => [~high, ~low],
  };
}

function makeTables() {
  const upper = new Int32Array(2048);
  const lower = new Int32Array(2048);
  for (let byte = 0; byte < 256; byte++) {
    let [h, l] = [0, byte];
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = (l & 1) === 1;
      l = l >>> 1 | h << 31;
      h = h >>> 1;
      if (isOdd) {
        // 0xC96C5795D7870F42, the polynomial, lowest power first
        h ^= 0xc96c5795;
        l ^= 0xd7870f42;
      }
    }
    upper[byte] = h;
    lower[byte] = l;
  }
  for (let index = 256; index < 2048; index++) {
    const [h, l] = [upper[index - 256]!, lower[index - 256]!];
    upper[index] = h >>> 8 ^ upper[l & 255]!;
    lower[index] = (l >>> 8 | h << 24) ^ lower[l & 255]!;
  }
  return { upper, lower };
}
