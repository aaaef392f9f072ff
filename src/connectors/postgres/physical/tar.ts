import { Buffer } from "node:buffer";
import { BackupError } from "../../../core/errors.ts";

/** The head of one member of a tar. */
export interface TarEntry {
  readonly name: string;
  readonly bytes: number;
  readonly type: "file" | "folder" | "link" | "other";
  /** Permissions. */
  readonly mode: number;
  /** Of a link. */
  readonly target: string;
}

/** What comes out of a tar as its bytes go in. */
export type TarEvent =
  | { readonly type: "entry"; readonly entry: TarEntry }
  /** The next bytes of the last entry; valid until the reader is asked for more. */
  | { readonly type: "data"; readonly chunk: Uint8Array }
  /** The last entry is over. */
  | { readonly type: "end" };

/** Reads a tar as it comes; of ustar, what PostgreSQL writes (src/port/tar.c). */
export interface TarReader {
  /** @throws BackupError `verification/structure` */
  push(chunk: Uint8Array): Generator<TarEvent>;
  /** @throws BackupError `verification/truncated` unless the end was seen */
  end(): void;
}

const blockBytes = 512;

/** A reader of one tar. */
export function tarReader(): TarReader {
  const head = Buffer.alloc(blockBytes);
  let headBytes = 0;
  let leftBytes = 0;
  let paddingBytes = 0;
  let isInEntry = false;
  let emptyBlocks = 0;

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
          if (emptyBlocks > 0) throw broken("something follows its end");
          const entry = entryOf(head);
          leftBytes = entry.bytes;
          paddingBytes = paddingOf(entry.bytes);
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
      throw new BackupError("verification/truncated", "The tar ends before its end", {
        hint: "It was cut off: take the backup again, or restore another one.",
      });
    },
  };
}

/** The head of a file, as a block. */
export function tarHead(name: string, bytes: number): Uint8Array {
  const head = Buffer.alloc(blockBytes);
  const octal = (value: number, length: number) =>
    value.toString(8).padStart(length - 1, "0") + "\0";
  head.write(name, 0, 100, "latin1");
  head.write(octal(0o600, 8), 100, "latin1");
  head.write(octal(0, 8), 108, "latin1");
  head.write(octal(0, 8), 116, "latin1");
  head.write(octal(bytes, 12), 124, "latin1");
  head.write(octal(0, 12), 136, "latin1");
  head.write("        ", 148, "latin1");
  head.write("0ustar\x0000", 156, "latin1");
  head.write(`${sumOf(head).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return head;
}

/** The zeros after a file. */
export function tarPadding(bytes: number): Uint8Array {
  return new Uint8Array(paddingOf(bytes));
}

/** What a tar ends with. */
export const tarEnd = new Uint8Array(2 * blockBytes);

function paddingOf(bytes: number): number {
  return (blockBytes - bytes % blockBytes) % blockBytes;
}

function entryOf(head: Buffer): TarEntry {
  const text = (from: number, length: number) => {
    const field = head.subarray(from, from + length);
    const end = field.indexOf(0);
    return field.subarray(0, end < 0 ? length : end).toString("utf8");
  };
  const sum = Number.parseInt(text(148, 8).trim(), 8);
  head.fill(0x20, 148, 156);
  if (sum !== sumOf(head)) throw broken("a head has another checksum");
  const prefix = text(345, 155);
  const kind = String.fromCharCode(head[156]!);
  const bytes = sizeOf(head, text(124, 12));
  return {
    name: prefix === "" ? text(0, 100) : `${prefix}/${text(0, 100)}`,
    bytes,
    type: kind === "0" || kind === "\0"
      ? "file"
      : kind === "5"
      ? "folder"
      : kind === "2"
      ? "link"
      : "other",
    mode: Number.parseInt(text(100, 8).trim(), 8) & 0o7777,
    target: text(157, 100),
  };
}

/** In octal, or in bytes where it is too large for that. */
function sizeOf(head: Buffer, octal: string): number {
  if ((head[124]! & 0x80) !== 0) return Number(head.readBigUInt64BE(128));
  const bytes = Number.parseInt(octal.trim() || "0", 8);
  if (Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
  throw broken("a head has no size");
}

function sumOf(head: Uint8Array): number {
  let sum = 0;
  for (const byte of head) sum += byte;
  return sum;
}

function broken(what: string): BackupError {
  return new BackupError("verification/structure", `The tar is damaged: ${what}`, {
    hint: "Restore another backup, or another destination's copy of this one.",
  });
}
