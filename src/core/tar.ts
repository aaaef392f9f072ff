import { Buffer } from "node:buffer";
import { BackupError } from "./errors.ts";

/** The head of one member of a tar. */
export interface TarEntry {
  readonly name: string;
  readonly bytes: number;
  readonly type: "file" | "folder" | "other";
}

/** What comes out of a tar as its bytes go in. */
export type TarEvent =
  | { readonly type: "entry"; readonly entry: TarEntry }
  /** The next bytes of the last entry: a view of what was pushed. */
  | { readonly type: "data"; readonly chunk: Uint8Array }
  /** The last entry is over. */
  | { readonly type: "end" };

/** Reads a tar as it comes; of ustar, what PostgreSQL writes (src/port/tar.c) and we do. */
export interface TarReader {
  /** @throws BackupError `verification/structure` */
  push(chunk: Uint8Array): Generator<TarEvent>;
  /** @throws BackupError `verification/truncated` unless the end was seen */
  end(): void;
}

const blockBytes = 512;

/**
 * A reader of one tar.
 *
 * @param name how a sentence about it begins; default `The tar`
 * @param isExact whether it takes only what {@link tarHeader} and {@link tarEnd} write, and nothing
 * after that end; default false
 */
export function tarReader(
  { name = "The tar", isExact = false }: {
    readonly name?: string;
    readonly isExact?: boolean;
  } = {},
): TarReader {
  const head = Buffer.alloc(blockBytes);
  let headBytes = 0;
  let leftBytes = 0;
  let paddingBytes = 0;
  let isInEntry = false;
  let emptyBlocks = 0;

  function entryIn(block: Buffer): TarEntry {
    if (emptyBlocks > 0) throw broken(name, "something follows its end");
    const entry = parseHeader(block, name);
    if (isExact && !block.equals(tarHeader(entry))) {
      throw broken(name, "a header is not as it was written");
    }
    return entry;
  }

  return {
    *push(chunk) {
      for (let at = 0; at < chunk.byteLength;) {
        if (leftBytes > 0) {
          const part = chunk.subarray(at, at + leftBytes);
          at += part.byteLength;
          leftBytes -= part.byteLength;
          yield { type: "data", chunk: part };
        } else if (paddingBytes > 0) {
          const part = Math.min(paddingBytes, chunk.byteLength - at);
          at += part;
          paddingBytes -= part;
        } else {
          if (isExact && emptyBlocks >= 2) throw broken(name, "something follows its end");
          const part = chunk.subarray(at, at + blockBytes - headBytes);
          head.set(part, headBytes);
          at += part.byteLength;
          headBytes += part.byteLength;
          if (headBytes < blockBytes) continue;
          headBytes = 0;
          if (head.every((byte) => byte === 0)) {
            emptyBlocks++;
            continue;
          }
          const entry = entryIn(head);
          leftBytes = entry.bytes;
          paddingBytes = tarPadding(entry.bytes);
          isInEntry = true;
          yield { type: "entry", entry };
        }
        if (isInEntry && leftBytes === 0) {
          isInEntry = false;
          yield { type: "end" };
        }
      }
    },
    end() {
      if (emptyBlocks >= 2 && headBytes === 0) return;
      throw new BackupError("verification/truncated", `${name} ends before its end`, {
        hint: "It was cut off: take the backup again, or restore another one.",
      });
    },
  };
}

/**
 * The header of a plain file, as POSIX has it (ustar,
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06).
 *
 * @param entry its name of at most 100 ASCII characters, its size below 8 GiB
 */
export function tarHeader({ name, bytes }: Pick<TarEntry, "name" | "bytes">): Uint8Array {
  const header = Buffer.alloc(blockBytes);
  header.write(name, 0, 100, "ascii");
  header.write("0000600\0", 100, "ascii");
  header.write("0000000\0".repeat(2), 108, "ascii");
  header.write(`${bytes.toString(8).padStart(11, "0")}\0`, 124, "ascii");
  header.write(`${"0".repeat(11)}\0`, 136, "ascii");
  header.write("0", 156, "ascii"); // a plain file
  header.write("ustar\x0000", 257, "ascii");
  header.write(`${sumOf(header).toString(8).padStart(6, "0")}\0 `, 148, "ascii");
  return header;
}

/** How many zeros follow a content of this length. */
export function tarPadding(bytes: number): number {
  return (blockBytes - bytes % blockBytes) % blockBytes;
}

/** The end of a tar: two blocks of zeros. */
export const tarEnd: Uint8Array = new Uint8Array(2 * blockBytes);

/** @param reader its name */
function parseHeader(header: Buffer, reader: string): TarEntry {
  const text = (from: number, length: number) => {
    const field = header.subarray(from, from + length);
    const end = field.indexOf(0);
    return field.subarray(0, end < 0 ? length : end).toString("utf8");
  };
  const sum = Number.parseInt(text(148, 8).trim(), 8);
  if (sum !== sumOf(header)) throw broken(reader, "a header has another checksum");
  const bytes = sizeOf(header, text(124, 12));
  if (bytes === undefined) throw broken(reader, "a header has no size");
  const prefix = text(345, 155);
  const kind = String.fromCharCode(header[156]!);
  return {
    name: prefix === "" ? text(0, 100) : `${prefix}/${text(0, 100)}`,
    bytes,
    type: kind === "0" || kind === "\0" ? "file" : kind === "5" ? "folder" : "other",
  };
}

/** In octal, or in bytes where it is too large for that. */
function sizeOf(header: Buffer, octal: string): number | undefined {
  if ((header[124]! & 0x80) !== 0) return Number(header.readBigUInt64BE(128));
  const bytes = Number.parseInt(octal.trim() || "0", 8);
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : undefined;
}

/** The sum of the header's bytes, where the checksum itself counts as spaces. */
function sumOf(header: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < blockBytes; at++) {
    if (at < 148 || at >= 156) sum += header[at]!;
  }
  return sum;
}

function broken(reader: string, what: string): BackupError {
  return new BackupError("verification/structure", `${reader} is damaged: ${what}`, {
    hint: "Restore another backup, or another destination's copy of this one.",
  });
}
