import { Buffer } from "node:buffer";
import type { Bytes } from "../../core/bytes.ts";
import { type DumpedColumn, readColumns } from "./columns.ts";
import { createScanner, type PieceType } from "./scanner.ts";
import { tokenize } from "./tokens.ts";

/** What is written in place of a column's values. */
export interface ValueEdit {
  /** The value that is replaced, as the dump has it. @default {any value} */
  readonly from?: string;
  readonly to: string;
}

/**
 * Changes values of chosen columns on their way. Everything else passes as it is, and only the
 * beginning of an INSERT and the text of a table are ever held.
 */
export async function* editValues(
  bytes: Bytes,
  rule: (column: DumpedColumn) => ValueEdit | undefined,
): Bytes {
  const out: Uint8Array[] = [];
  const editor = createEditor(rule, out);
  for await (const chunk of bytes) {
    editor.push(chunk);
    yield* out;
    out.length = 0;
  }
}

// Far more than 4096 columns with names and comments of full length.
const keptText = 16 * 1024 * 1024;

function createEditor(
  rule: (column: DumpedColumn) => ValueEdit | undefined,
  out: Uint8Array[],
) {
  let table = "";
  let columns: readonly DumpedColumn[] = [];
  /** Bytes of the piece before it was known. */
  let pending: Uint8Array[] = [];
  let isKnown = false;
  /** The text of a table that is being made. */
  let text: Uint8Array[] | undefined;
  let textLength = 0;
  let rows: RowEditor | undefined;

  function known(type: PieceType, head: string): void {
    isKnown = true;
    if (type === "statement" && /^CREATE TABLE /i.test(head)) text = [];
    else if (type === "insert" && head === table) rows = editorOf(columns, rule, out);
    const before = pending;
    pending = [];
    for (const bytes of before) pass(bytes, 0, bytes.length);
  }

  function pass(chunk: Uint8Array, start: number, end: number): void {
    if (rows !== undefined) {
      rows.push(chunk, start, end);
      return;
    }
    out.push(chunk.subarray(start, end));
    if (text === undefined || textLength > keptText) return;
    text.push(new Uint8Array(chunk.subarray(start, end)));
    textLength += end - start;
  }

  return createScanner({
    span(chunk, start, end) {
      // Not slice(): a Buffer shares its memory with what that returns.
      if (!isKnown) pending.push(new Uint8Array(chunk.subarray(start, end)));
      else pass(chunk, start, end);
    },
    known,
    end() {
      if (text !== undefined) {
        const sql = Buffer.concat(text).toString("utf8");
        table = tokenize(sql, 8).find(({ type }) => type === "name")?.text ?? "";
        columns = readColumns(sql);
      }
      isKnown = false;
      text = rows = undefined;
      textLength = 0;
    },
  });
}

interface RowEditor {
  push(chunk: Uint8Array, start: number, end: number): void;
}

/** An editor of one INSERT; undefined where there is nothing to change. */
function editorOf(
  columns: readonly DumpedColumn[],
  rule: (column: DumpedColumn) => ValueEdit | undefined,
  out: Uint8Array[],
): RowEditor | undefined {
  const edits = new Map<string, ValueEdit>();
  for (const column of columns) {
    const edit = rule(column);
    if (edit !== undefined) edits.set(column.name, edit);
  }
  if (edits.size === 0) return undefined;
  return createRowEditor(
    (names) => (names ?? columns.map(({ name }) => name)).map((name) => edits.get(name)),
    out,
  );
}

const quote = 0x27;
const open = 0x28;
const close = 0x29;
const comma = 0x2c;
const backslash = 0x5c;
const backtick = 0x60;
const letterV = 0x56;

/** @param editsOf what to do with each value of a row; told the columns that the INSERT names */
function createRowEditor(
  editsOf: (names: readonly string[] | undefined) => readonly (ValueEdit | undefined)[],
  out: Uint8Array[],
): RowEditor {
  let edits: readonly (ValueEdit | undefined)[] | undefined;
  /** The statement up to VALUES. */
  let prefix = "";
  let isName = false;
  let isText = false;
  let isEscaped = false;
  let depth = 0;
  let column = 0;
  /** Of the value under way. */
  let edit: ValueEdit | undefined;
  let held: number[] = [];

  /** Up to the first letter V outside of names, with which VALUES begins. */
  function readPrefix(chunk: Uint8Array, start: number, end: number): number {
    let i = start;
    for (; i < end; i++) {
      const byte = chunk[i]!;
      if (byte === backtick) isName = !isName;
      else if (!isName && (byte & 0xdf) === letterV) break;
    }
    prefix += Buffer.from(chunk.subarray(start, i)).toString("latin1");
    if (i < end) {
      const sql = Buffer.from(prefix, "latin1").toString("utf8");
      const [, ...names] = tokenize(sql, Infinity).filter(({ type }) => type === "name");
      edits = editsOf(names.length === 0 ? undefined : names.map(({ text }) => text));
    }
    return i;
  }

  function push(chunk: Uint8Array, start: number, end: number): void {
    /** Up to where the bytes are written. */
    let done = start;
    let i = start;
    if (edits === undefined) i = readPrefix(chunk, start, end);
    const begin = (after: number) => {
      edit = edits?.[column];
      if (edit === undefined) return;
      add(chunk, done, after);
      done = after;
      held = [];
    };
    const finish = (at: number) => {
      if (edit === undefined) return;
      const isMeant = edit.from === undefined || Buffer.from(held).toString("latin1") === edit.from;
      out.push(isMeant ? Buffer.from(edit.to) : Buffer.from(held));
      edit = undefined;
      done = at;
    };
    for (; i < end; i++) {
      const byte = chunk[i]!;
      if (isText) {
        if (isEscaped) isEscaped = false;
        else if (byte === backslash) isEscaped = true;
        else if (byte === quote) isText = false;
      } else if (byte === quote) {
        isText = true;
      } else if (byte === open) {
        if (++depth === 1) {
          column = 0;
          begin(i + 1);
          continue;
        }
      } else if (byte === close) {
        if (depth-- === 1) finish(i);
      } else if (byte === comma && depth === 1) {
        finish(i);
        column++;
        begin(i + 1);
        continue;
      }
      if (edit?.from === undefined) continue;
      held.push(byte);
      if (held.length <= edit.from.length) continue;
      // Longer than what is looked for.
      out.push(Buffer.from(held));
      edit = undefined;
      done = i + 1;
    }
    if (edit === undefined) add(chunk, done, end);
  }

  function add(chunk: Uint8Array, start: number, end: number): void {
    if (start < end) out.push(chunk.subarray(start, end));
  }

  return { push };
}
