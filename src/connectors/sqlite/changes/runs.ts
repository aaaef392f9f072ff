import type { FileHandle } from "node:fs/promises";
import type { Bytes } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import { parseTarHeader, tarBlockBytes, tarEnd, tarHeader, tarPadding } from "../../../core/tar.ts";
import type { ArtifactFormat } from "../../../contracts/format.ts";
import { unitBytes } from "./blocks.ts";
import { bytesAtOnce, joined, openWindow } from "./files.ts";
import {
  applyPieces,
  broken,
  type Piece,
  type PieceParser,
  truncated,
  walkerOf,
} from "./pieces.ts";

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
  const header = new Uint8Array(tarBlockBytes);
  let headerFilled = 0;
  let run: { at: number; left: number; padding: number } | undefined;
  let nextUnit = 0;
  let zeroBlocks = 0;

  function readHeader(): void {
    headerFilled = 0;
    if (header.every((byte) => byte === 0)) {
      zeroBlocks++;
      return;
    }
    const entry = parseTarHeader(header);
    if (entry === undefined || zeroBlocks > 0) throw broken(list, "has a header that is none");
    const unit = /^(?:0|[1-9]\d{0,11})$/.test(entry.name) ? Number(entry.name) : undefined;
    if (unit === undefined) throw broken(list, `has a file "${entry.name}", which is no place`);
    if (unit < nextUnit || entry.bytes === 0) throw broken(list, "has its blocks out of order");
    nextUnit = unit + Math.ceil(entry.bytes / unitBytes);
    run = { at: unit * unitBytes, left: entry.bytes, padding: tarPadding(entry.bytes) };
  }

  return {
    push(chunk: Uint8Array): Piece[] {
      const pieces: Piece[] = [];
      let rest = chunk;
      while (rest.byteLength > 0) {
        if (zeroBlocks === 2) throw broken(list, "goes on after its end");
        if (run !== undefined) {
          const bytes = rest.subarray(0, run.left);
          if (bytes.byteLength > 0) pieces.push({ at: run.at, bytes });
          run.at += bytes.byteLength;
          run.left -= bytes.byteLength;
          const padding = run.left === 0
            ? Math.min(run.padding, rest.byteLength - bytes.byteLength)
            : 0;
          run.padding -= padding;
          rest = rest.subarray(bytes.byteLength + padding);
          if (run.left === 0 && run.padding === 0) run = undefined;
          continue;
        }
        const taken = rest.subarray(0, tarBlockBytes - headerFilled);
        header.set(taken, headerFilled);
        headerFilled += taken.byteLength;
        rest = rest.subarray(taken.byteLength);
        if (headerFilled === tarBlockBytes) readHeader();
      }
      return pieces;
    },
    end(): void {
      if (zeroBlocks < 2) throw truncated(list);
    },
  };
}
