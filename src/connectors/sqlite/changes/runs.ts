import type { FileHandle } from "node:fs/promises";
import type { Bytes } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import { tarEnd, type TarEntry, tarHeader, tarPadding, tarReader } from "../../../core/tar.ts";
import type { ArtifactFormat } from "../../../contracts/format.ts";
import { unitBytes } from "./blocks.ts";
import { bytesAtOnce, joined, openWindow } from "./files.ts";
import { applyPieces, broken, type Piece, type PieceParser, walkerOf } from "./pieces.ts";

/**
 * What changed in a file: a tar archive with a file for each run of blocks that differ. A run's name is
 * its place in units of 4096 bytes, in decimal digits, so that `dd bs=4096 seek=NAME conv=notrunc` puts
 * it there. Runs come in order and never touch a byte twice.
 */
export const runsFormat: ArtifactFormat = {
  id: "sqlite-blocks",
  suffix: "blocks",
  walk: () => walkerOf(runsParser()),
};

const list = "list of changed blocks";

/** The longest run, in bytes; more are several. */
export const longestRunBytes = 64 * 1024 * 1024;

/** Bytes that lie beside one another. */
export interface Run {
  /** Where it starts, in {@link unitBytes}. */
  readonly unit: number;
  readonly bytes: number;
}

/**
 * The bytes of an archive.
 *
 * @param runs in order
 * @param file where they are read from
 */
export function writeRuns(runs: Iterable<Run>, file: FileHandle): Bytes {
  return joined(archiveOf(runs, file));
}

async function* archiveOf(runs: Iterable<Run>, file: FileHandle): Bytes {
  const read = openWindow(file);
  for (const { unit, bytes } of runs) {
    yield tarHeader({ name: String(unit), bytes });
    for (let done = 0; done < bytes; done += bytesAtOnce) {
      const length = Math.min(bytesAtOnce, bytes - done);
      const piece = await read(unit * unitBytes + done, length);
      if (piece.byteLength < length) {
        throw new BackupError("dump/failed", "The copy of the database became shorter", {
          hint: "Something else writes in the temporary folder.",
        });
      }
      yield piece;
    }
    if (tarPadding(bytes) > 0) yield tarEnd.subarray(0, tarPadding(bytes));
  }
  yield tarEnd;
}

/** Writes the runs of an archive where they belong. */
export function applyRuns(bytes: Bytes, file: FileHandle): Promise<void> {
  return applyPieces(bytes, runsParser(), file);
}

function runsParser(): PieceParser<void> {
  const reader = tarReader({ name: `The ${list}`, isExact: true });
  let at = 0;
  let nextUnit = 0;

  function begin({ name, bytes }: TarEntry): void {
    const unit = /^(?:0|[1-9]\d{0,11})$/.test(name) ? Number(name) : undefined;
    if (unit === undefined) throw broken(list, `has a file "${name}", which is no place`);
    if (unit < nextUnit || bytes === 0) throw broken(list, "has its blocks out of order");
    nextUnit = unit + Math.ceil(bytes / unitBytes);
    at = unit * unitBytes;
  }

  return {
    push(chunk) {
      const pieces: Piece[] = [];
      for (const event of reader.push(chunk)) {
        if (event.type === "entry") begin(event.entry);
        else if (event.type === "data") {
          pieces.push({ at, bytes: event.chunk });
          at += event.chunk.byteLength;
        }
      }
      return pieces;
    },
    end: () => reader.end(),
  };
}
