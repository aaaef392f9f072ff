import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { int32At } from "../archive/bson.ts";
import { readOperation } from "./entry.ts";

/** Holds documents, in order, until it is known what becomes of them. */
export interface Spool {
  push(document: Uint8Array): void;
  /** What was pushed; may be asked for more than once. */
  documents(): Iterable<Uint8Array>;
  /** Lets go of all of it. */
  drop(): void;
}

/** What is kept in memory of each spool; a transaction may be as large as it likes. */
const memoryBytes = 4 * 1024 * 1024;

/**
 * A spool of what operations do and not of what they write: many writes of one kind to one collection
 * take no more than one. They come out in the order in which each was first there.
 */
export function sketchSpool(): Spool {
  const held = new Map<string, { readonly sketch: Uint8Array; count: number }>();
  return {
    push(document) {
      const { op, db, collection } = readOperation(document);
      const isWrite = op === "i" || op === "d" || op === "u";
      const key = isWrite ? `${op} ${db}.${collection}` : String(held.size);
      const known = held.get(key);
      if (known !== undefined) known.count++;
      else held.set(key, { sketch: document, count: 1 });
    },
    *documents() {
      for (const { sketch, count } of held.values()) {
        for (let left = count; left > 0; left--) yield sketch;
      }
    },
    drop: () => held.clear(),
  };
}

/**
 * Makes spools that go on in a file once they are large.
 *
 * @param folder that is removed afterwards
 */
export function fileSpools(folder: string): () => Spool {
  let count = 0;
  return () => fileSpool(join(folder, `spool-${++count}`));
}

function fileSpool(path: string): Spool {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let file: number | undefined;
  let fileBytes = 0;

  function write(document: Uint8Array): void {
    file ??= openUnnamed(path);
    for (let at = 0; at < document.byteLength;) {
      at += writeSync(file, document, at, document.byteLength - at, fileBytes + at);
    }
    fileBytes += document.byteLength;
  }

  function* read(): Generator<Uint8Array> {
    const end = fileBytes;
    for (let at = 0; at < end;) {
      const length = int32At(exactly(file!, at, 4), 0);
      yield exactly(file!, at, length);
      at += length;
    }
  }

  return {
    push(document) {
      heldBytes += document.byteLength;
      if (file === undefined && heldBytes <= memoryBytes) return void held.push(document);
      held.forEach(write);
      held = [];
      write(document);
    },
    *documents() {
      if (file === undefined) yield* held;
      else yield* read();
    },
    drop() {
      held = [];
      heldBytes = 0;
      fileBytes = 0;
      if (file === undefined) return;
      ftruncateSync(file);
      closeSync(file);
      file = undefined;
    },
  };
}

/** A file that goes with its descriptor, where the system allows that. */
function openUnnamed(path: string): number {
  const file = openSync(path, "wx+", 0o600);
  try {
    unlinkSync(path);
  } catch {
    // Windows keeps the name of an open file; its folder is removed afterwards.
  }
  return file;
}

function exactly(file: number, from: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const read = readSync(file, bytes, at, length - at, from + at);
    if (read === 0) throw new Error("a spool is shorter than what was written to it");
    at += read;
  }
  return bytes;
}
