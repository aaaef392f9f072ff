import { structureError } from "./structure-error.ts";
import { isInsideText, isInsideValue, wordsOf } from "./words.ts";

/** Counts the rows of one INSERT after another. */
export interface RowCounter {
  /** Another INSERT's rows begin. */
  begin(): void;
  /**
   * Takes bytes from the word VALUES on.
   *
   * @returns where it stopped: behind the semicolon that ends the statement, else the chunk's end
   * @throws BackupError `verification/structure` for rows that are none
   */
  push(chunk: Uint8Array, from: number): number;
  /** Whether the last byte taken ended the statement. */
  isEnded(): boolean;
  count(): number;
}

const quote = 0x27;
const open = 0x28;
const close = 0x29;
const semicolon = 0x3b;
const backslash = 0x5c;

/** Makes a counter. */
export function createRowCounter(): RowCounter {
  let depth = 0;
  let rows = 0;
  let isInText = false;
  /** Set where the last byte was a backslash, whose escape is the next. */
  let isEscaped = false;
  let isEnded = false;

  /** The hot loop, which sees nearly every byte of a dump. */
  function push(chunk: Uint8Array, from: number): number {
    const length = chunk.length;
    const { words, shift } = wordsOf(chunk);
    let i = isEscaped ? from + 1 : from;
    let [openRows, count, isText] = [depth, rows, isInText];
    while (i < length) {
      if (isText) {
        if (((i + shift) & 3) === 0) {
          let word = (i + shift) >>> 2;
          while (word < words.length && isInsideText(words[word]!)) word++;
          i = 4 * word - shift;
          if (i >= length) break;
        }
        const byte = chunk[i++]!;
        if (byte === quote) isText = false;
        else if (byte === backslash) i++;
        continue;
      }
      if (((i + shift) & 3) === 0) {
        let word = (i + shift) >>> 2;
        while (word < words.length && isInsideValue(words[word]!)) word++;
        i = 4 * word - shift;
        if (i >= length) break;
      }
      const byte = chunk[i++]!;
      // Digits, letters, commas and all else that a value is made of.
      if (byte > close && byte !== semicolon) continue;
      if (byte === quote) {
        isText = true;
      } else if (byte === open) {
        if (openRows++ === 0) count++;
      } else if (byte === close) {
        if (--openRows < 0) throw structureError("closes a row that it did not open");
      } else if (byte === semicolon) {
        if (openRows !== 0) throw structureError("ends an INSERT inside a row");
        isEnded = true;
        break;
      }
    }
    // An escape at the very end has moved past it.
    isEscaped = i > length;
    [depth, rows, isInText] = [openRows, count, isText];
    return Math.min(i, length);
  }

  return {
    begin() {
      depth = rows = 0;
      isInText = isEscaped = isEnded = false;
    },
    push,
    isEnded: () => isEnded,
    count: () => rows,
  };
}
