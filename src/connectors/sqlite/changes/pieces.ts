import type { FileHandle } from "node:fs/promises";
import type { Bytes } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Walker } from "../../../contracts/format.ts";
import { writeAt } from "./files.ts";

/** Bytes with their place in a file. */
export interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Follows an artifact that says what belongs where in a file, as its bytes pass. */
export interface PieceParser<T> {
  /** @throws BackupError `verification/structure`, see {@link broken} */
  push(chunk: Uint8Array): Piece[];
  /** @throws BackupError `verification/truncated`, see {@link truncated} */
  end(): T;
}

/** Writes the pieces where they belong. */
export async function applyPieces<T>(
  bytes: Bytes,
  parser: PieceParser<T>,
  file: FileHandle,
): Promise<T> {
  for await (const chunk of bytes) {
    for (const { at, bytes } of parser.push(chunk)) await writeAt(file, bytes, at);
  }
  return parser.end();
}

/** A walk that sees what the parser sees. */
export function walkerOf(parser: PieceParser<unknown>): Walker {
  return {
    push: (chunk) => void parser.push(chunk),
    end() {
      parser.end();
      return { databases: [] };
    },
  };
}

/** @param list `list of changed blocks` */
export function broken(list: string, problem: string): BackupError {
  return new BackupError("verification/structure", `The ${list} ${problem}`, {
    hint: "The bytes are not what was stored; use another copy.",
  });
}

/** @param list as in {@link broken} */
export function truncated(list: string): BackupError {
  return new BackupError("verification/truncated", `The ${list} ends early`, {
    hint: "The copy is incomplete; use another one.",
  });
}
