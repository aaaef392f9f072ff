import { BackupError } from "../../../core/errors.ts";
import { BsonError, int32At, isDocumentLength } from "./bson.ts";

/**
 * What a parser sees in mongodump's archive format, in order. Its blocks are a header document,
 * body documents and a terminator; the first is the prelude, each other one is of one namespace
 * (mongo-tools, common/archive/spec.md).
 */
export interface ArchiveHandler {
  /** The prelude's header: versions. */
  header(document: Uint8Array): void;
  /** One collection or view of the prelude. */
  metadata(document: Uint8Array): void;
  preludeEnd(): void;
  /**
   * The header of a block.
   *
   * @returns how to hand over its documents: in pieces as they come, or each one whole
   */
  namespace(document: Uint8Array): "pieces" | "documents";
  /**
   * A piece of the block's documents: a view of the chunk, cut anywhere.
   *
   * @param ended how many documents end in it
   */
  piece(bytes: Uint8Array, ended: number): void;
  /** One whole document, of a block handed over so. The bytes may be kept. */
  document(document: Uint8Array): void;
  blockEnd(): void;
}

/** Takes an archive apart as its bytes pass. */
export interface ArchiveParser {
  /** @throws BackupError `verification/structure` */
  push(chunk: Uint8Array): void;
  /** @throws BackupError `verification/truncated` when the archive ends inside a block */
  end(): void;
}

const magic = [0x6d, 0xe2, 0x99, 0x81];
const terminator = -1;

/** Starts on a new archive. */
export function archiveParser(handler: ArchiveHandler): ArchiveParser {
  let isPrelude = true;
  /** What the next document is: the block's header, or one of its body. */
  let isHeader = true;
  let mode: "pieces" | "documents" = "documents";
  let seenBytes = 0;
  let magicSeen = 0;
  /** The length field, which a chunk's end may cut. */
  const lengthField = new Uint8Array(4);
  let lengthSeen = 0;
  /** Of a document under way: bytes still to come, and where they go if it is wanted whole. */
  let missing = 0;
  let whole: Uint8Array | undefined;

  function fail(problem: string): BackupError {
    return damaged(`near byte ${seenBytes}, ${problem}`);
  }

  function checkLength(length: number): void {
    if (isDocumentLength(length)) return;
    throw fail(`${length} is no document's length`);
  }

  function readMagic(chunk: Uint8Array): number {
    let at = 0;
    for (; at < chunk.byteLength && magicSeen < 4; at++, magicSeen++) {
      if (chunk[at] !== magic[magicSeen]) throw fail("it is not a mongodump archive");
    }
    return at;
  }

  /** Passes on as many whole documents as the chunk has from here. */
  function run(chunk: Uint8Array, from: number): number {
    let [at, ended] = [from, 0];
    while (at + 4 <= chunk.byteLength) {
      const length = int32At(chunk, at);
      if (length === terminator) break;
      checkLength(length);
      if (at + length > chunk.byteLength) break;
      if (chunk[at + length - 1] !== 0) throw fail("a document does not end in 0");
      at += length;
      ended++;
    }
    if (ended > 0) handler.piece(chunk.subarray(from, at), ended);
    return at;
  }

  function begin(length: number): void {
    if (length === terminator) {
      if (isHeader) throw fail("a block has no header");
      if (isPrelude) handler.preludeEnd();
      else handler.blockEnd();
      isPrelude = false;
      isHeader = true;
      mode = "documents";
      return;
    }
    checkLength(length);
    missing = length - 4;
    if (mode === "pieces") {
      handler.piece(lengthField, 0);
    } else {
      whole = new Uint8Array(length);
      whole.set(lengthField);
    }
  }

  function go(chunk: Uint8Array, from: number): number {
    const taken = chunk.subarray(from, from + missing);
    missing -= taken.byteLength;
    const isEnd = missing === 0;
    if (isEnd && taken[taken.byteLength - 1] !== 0) throw fail("a document does not end in 0");
    if (whole === undefined) {
      handler.piece(taken, isEnd ? 1 : 0);
    } else {
      whole.set(taken, whole.byteLength - missing - taken.byteLength);
      if (isEnd) deliver(whole);
    }
    if (isEnd) whole = undefined;
    return from + taken.byteLength;
  }

  function deliver(document: Uint8Array): void {
    if (!isHeader) {
      if (isPrelude) handler.metadata(document);
      else handler.document(document);
      return;
    }
    isHeader = false;
    if (isPrelude) handler.header(document);
    else mode = handler.namespace(document);
  }

  function take(chunk: Uint8Array): void {
    let at = readMagic(chunk);
    while (at < chunk.byteLength) {
      if (missing > 0) {
        at = go(chunk, at);
        continue;
      }
      if (mode === "pieces" && lengthSeen === 0) at = run(chunk, at);
      while (at < chunk.byteLength && lengthSeen < 4) lengthField[lengthSeen++] = chunk[at++]!;
      if (lengthSeen < 4) break;
      lengthSeen = 0;
      begin(int32At(lengthField, 0));
    }
  }

  return {
    push(chunk) {
      try {
        take(chunk);
      } catch (error) {
        throw error instanceof BsonError ? fail("a document is not BSON") : error;
      }
      seenBytes += chunk.byteLength;
    },
    end() {
      const isBetween = magicSeen === 4 && !isPrelude && isHeader && lengthSeen === 0 &&
        missing === 0;
      if (!isBetween) throw truncated(`it ends inside a block, after ${seenBytes} bytes`);
    },
  };
}

/** The error of an archive whose content cannot be. */
export function damaged(problem: string): BackupError {
  return new BackupError("verification/structure", `The MongoDB archive is damaged: ${problem}`, {
    hint: "The bytes are not what mongodump wrote; use another backup.",
  });
}

/** The error of an archive that is cut short. */
export function truncated(what: string): BackupError {
  return new BackupError("verification/truncated", `The MongoDB archive is incomplete: ${what}`, {
    hint: "The dump was cut off; use another backup.",
  });
}
