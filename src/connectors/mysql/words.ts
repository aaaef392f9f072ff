// Four bytes of a dump at a time: byte by byte, its rows take four times as long. By the tests of
// https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord: a byte's highest bit comes out set
// where the byte is zero, or less than a number up to 128.

/** A chunk as words of four bytes: its byte `i` is byte `i + shift` of them. */
export interface Words {
  readonly words: Int32Array;
  readonly shift: number;
}

/** Looks at a chunk as {@link Words}; its last bytes may make no whole one. */
export function wordsOf({ buffer, byteOffset, length }: Uint8Array): Words {
  const shift = byteOffset & 3;
  return { words: new Int32Array(buffer, byteOffset - shift, (shift + length) >>> 2), shift };
}

const quote = 0x27;
const close = 0x29;
const semicolon = 0x3b;
const backslash = 0x5c;

const ones = 0x01010101;
const highBits = 0x80808080 | 0;

/** Whether none of four bytes is a quote or a backslash. */
export function isInsideText(word: number): boolean {
  const quotes = word ^ quote * ones;
  const backslashes = word ^ backslash * ones;
  return ((((quotes - ones) & ~quotes) | ((backslashes - ones) & ~backslashes)) & highBits) === 0;
}

/** Whether none of four bytes is a parenthesis, a quote or a semicolon, nor anything below them. */
export function isInsideValue(word: number): boolean {
  const semicolons = word ^ semicolon * ones;
  const below = (close + 1) * ones;
  return ((((semicolons - ones) & ~semicolons) | ((word - below) & ~word)) & highBits) === 0;
}
