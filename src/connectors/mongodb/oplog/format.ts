import type { ArtifactFormat, Walker } from "../../../contracts/format.ts";
import { BackupError } from "../../../core/errors.ts";
import { BsonError, int32At, isDocumentLength } from "../archive/bson.ts";
import { type OplogEntry, readEntry } from "./entry.ts";
import { compareTimes } from "./position.ts";

/**
 * A piece of an oplog: its entries as BSON, one after another, without a gap. The first is the one
 * that the backup before it ended with, so that the piece itself shows that it joins. Of entries that
 * are not kept, such as those of the server's own collections, their time is there.
 */
export const oplogFormat: ArtifactFormat = {
  id: "mongooplog",
  suffix: "bson",
  walk,
};

/** Cuts concatenated BSON into documents, which may be kept. */
export interface DocumentSplitter {
  /** @throws BackupError `verification/structure` */
  push(chunk: Uint8Array): Iterable<Uint8Array>;
  /** @throws BackupError `verification/truncated` */
  end(): void;
}

/** Starts at a document's first byte. */
export function documentSplitter(): DocumentSplitter {
  const lengthField = new Uint8Array(4);
  let lengthSeen = 0;
  let document: Uint8Array | undefined;
  let filled = 0;

  return {
    *push(chunk) {
      for (let at = 0; at < chunk.byteLength;) {
        if (document === undefined) {
          lengthField[lengthSeen++] = chunk[at++]!;
          if (lengthSeen < 4) continue;
          const length = int32At(lengthField, 0);
          if (!isDocumentLength(length)) {
            throw damaged(`${length} is no entry's length`);
          }
          document = new Uint8Array(length);
          document.set(lengthField);
          [lengthSeen, filled] = [0, 4];
          continue;
        }
        const piece = chunk.subarray(at, at + document.byteLength - filled);
        document.set(piece, filled);
        filled += piece.byteLength;
        at += piece.byteLength;
        if (filled < document.byteLength) continue;
        const whole = document;
        document = undefined;
        yield whole;
      }
    },
    end() {
      if (document === undefined && lengthSeen === 0) return;
      throw new BackupError(
        "verification/truncated",
        "The piece of the oplog ends inside an entry",
        {
          hint: "It was cut off; use another copy of the backup.",
        },
      );
    },
  };
}

/** Reads an entry of a piece. @throws BackupError `verification/structure` */
export function entryOf(document: Uint8Array): OplogEntry {
  try {
    const entry = readEntry(document);
    if (entry !== undefined) return entry;
  } catch (error) {
    if (!(error instanceof BsonError)) throw error;
  }
  throw damaged("an entry cannot be read");
}

function walk(): Walker {
  const splitter = documentSplitter();
  let last: OplogEntry["time"] | undefined;
  return {
    push(chunk) {
      for (const document of splitter.push(chunk)) {
        const { time } = entryOf(document);
        if (last !== undefined && compareTimes(last, time) >= 0) {
          throw damaged(`${time.t}:${time.i} follows ${last.t}:${last.i}`);
        }
        last = time;
      }
    },
    end() {
      splitter.end();
      if (last === undefined) throw damaged("it has no entry");
      return { databases: [] };
    },
  };
}

function damaged(problem: string): BackupError {
  return new BackupError(
    "verification/structure",
    `The piece of the oplog is damaged: ${problem}`,
    {
      hint: "The bytes are not what the server wrote; use another copy of the backup.",
    },
  );
}
