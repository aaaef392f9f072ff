import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { BackupError } from "../../core/errors.ts";
import { ForeignAnswer } from "../foreign.ts";

/** The CRC-32 of some bytes, as S3 writes it: base64 of four bytes, most significant first. */
export function crc32Of(bytes: Uint8Array): string {
  const four = Buffer.alloc(4);
  four.writeUInt32BE(crc32(bytes));
  return four.toString("base64");
}

/** The checksum that S3 gives to an object of parts, out of theirs: `3q2+7w==-12`. */
export function compositeCrc32(parts: readonly string[]): string {
  const whole = crc32Of(Buffer.concat(parts.map((part) => Buffer.from(part, "base64"))));
  return `${whole}-${parts.length}`;
}

/** What the store says about stored bytes, on writing them or later. */
export interface Stored {
  readonly ETag?: string;
  readonly ChecksumCRC32?: string;
  readonly ServerSideEncryption?: string;
  readonly SSECustomerAlgorithm?: string;
}

/**
 * Checks that the store has the bytes that were sent: by the CRC-32 it returns, or, where it returns
 * none, by the ETag, which is the MD5 of an object or part unless it is encrypted with a key of its
 * own.
 *
 * @throws BackupError `storage/checksum`; ForeignAnswer where it tells nothing at all
 */
export function assertStored(stored: Stored, bytes: Uint8Array, crc: string, doing: string): void {
  assertTagged(stored);
  if (stored.ChecksumCRC32 !== undefined) {
    if (stored.ChecksumCRC32 !== crc) throw mismatch(doing, crc, stored.ChecksumCRC32);
    return;
  }
  const md5 = /^"?([0-9a-f]{32})"?$/.exec(stored.ETag ?? "")?.[1];
  const isKeyed = stored.ServerSideEncryption?.startsWith("aws:") === true ||
    stored.SSECustomerAlgorithm !== undefined;
  if (md5 === undefined || isKeyed) return;
  const wanted = createHash("md5").update(bytes).digest("hex");
  if (md5 !== wanted) throw mismatch(doing, wanted, md5);
}

/** Every store tells the ETag of what it has: who does not is none. @throws ForeignAnswer */
export function assertTagged({ ETag }: Stored): void {
  if (ETag === undefined || ETag === "") {
    throw new ForeignAnswer("it tells no ETag of the object");
  }
}

/** The error for a store that has other bytes than it was sent. */
export function mismatch(doing: string, wanted: string, found: string): BackupError {
  return new BackupError(
    "storage/checksum",
    `Cannot ${doing}: the store acknowledges checksum ${found} instead of ${wanted}`,
    { hint: "The store changes or loses data: do not trust it with backups before that is found." },
  );
}
