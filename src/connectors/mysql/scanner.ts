import { Buffer } from "node:buffer";
import { createRowCounter } from "./row-counter.ts";
import { structureError } from "./structure-error.ts";

/**
 * One piece of a dump. Pieces follow each other without a gap, so a filter that passes on every
 * piece passes on every byte.
 *
 * - `blank`: white space between pieces
 * - `comment`: one `-- …` or `# …` line
 * - `delimiter`: one `DELIMITER …` line, the client's own command
 * - `insert`: an INSERT or REPLACE statement, whose rows are counted and whose text is not kept
 * - `statement`: every other statement, up to and with its delimiter
 */
export type PieceType = "blank" | "comment" | "delimiter" | "insert" | "statement";

/** Called as the scanner goes, in the order of the bytes. */
export interface ScannerListener {
  /** Bytes of the piece under way; a piece has any number of spans, before and after `known`. */
  span(chunk: Uint8Array, start: number, end: number): void;
  /**
   * What the piece under way is; called once a piece.
   *
   * @param head an insert's table; of any other piece its first {@link headBytes} bytes
   * @param isWhole whether `head` is all of the piece
   */
  known(type: PieceType, head: string, isWhole: boolean): void;
  /** The piece ended. @param rows for inserts that could be counted */
  end(rows: number | undefined): void;
}

/** How much of a statement is kept to tell what it is: more than any name with its definer. */
export const headBytes = 32 * 1024;

/** Finds the pieces of a dump, whatever way its bytes are cut into chunks. */
export interface Scanner {
  /** @throws BackupError `verification/structure` for rows that are none */
  push(chunk: Uint8Array): void;
  /** Whether the last byte seen ended a piece. */
  isBetweenPieces(): boolean;
}

/** Where a scanner is: between pieces, in a line, in a statement, or in an INSERT. */
const enum At {
  Between,
  Line,
  Statement,
  Quoted,
  QuotedEscape,
  LineComment,
  CommentStart,
  CommentStartM,
  BlockComment,
  Insert,
  InsertTable,
  InsertTableEnd,
  InsertColumn,
  InsertKeyword,
  Rows,
}

const newline = 0x0a;
const space = 0x20;
const exclamation = 0x21;
const doubleQuote = 0x22;
const hash = 0x23;
const quote = 0x27;
const asterisk = 0x2a;
const plus = 0x2b;
const hyphen = 0x2d;
const slash = 0x2f;
const semicolon = 0x3b;
const letterM = 0x4d;
const letterV = 0x56;
const backslash = 0x5c;
const backtick = 0x60;

// MariaDB's first line since 10.5.25 and its siblings: a command of its client, without a delimiter.
const sandboxLine = "/*M!999999\\-";

/**
 * Makes a scanner. It follows the rules of the `mysql` client, which reads a dump in the end: strings
 * in any quotes, `--`, `#` and block comments, conditional comments whose content counts, DELIMITER
 * lines, NO_BACKSLASH_ESCAPES where a routine was made under it.
 */
export function createScanner(listener: ScannerListener): Scanner {
  const head = Buffer.alloc(headBytes);
  let headLength = 0;
  let at = At.Between;
  let type: PieceType = "blank";
  let isKnown = false;
  let delimiter = Buffer.from(";");
  /** How many bytes of the delimiter the last ones match. */
  let matched = 0;
  let quoteByte = quote;
  let [last, beforeLast] = [0, 0];
  let hasBackslashEscapes = true;
  let keywordLength = 0;
  let isCounted = false;
  const rows = createRowCounter();

  function push(chunk: Uint8Array): void {
    const length = chunk.length;
    let told = 0;
    let i = 0;
    while (i < length) {
      if (at === At.Rows) {
        i = rows.push(chunk, i);
        if (rows.isEnded()) at = At.Between;
      } else if (at === At.Between) {
        i = scanBlank(chunk, i);
        if (i === length) break;
        if (i > told) {
          blank(chunk, told, i);
          told = i;
        }
        begin(chunk[i]!);
        continue;
      } else {
        step(chunk[i++]!);
      }
      if (at === At.Between) {
        listener.span(chunk, told, i);
        told = i;
        finish();
      }
    }
    if (told === length) return;
    if (at === At.Between) blank(chunk, told, length);
    else listener.span(chunk, told, length);
  }

  function scanBlank(chunk: Uint8Array, from: number): number {
    let i = from;
    while (i < chunk.length && chunk[i]! <= space) i++;
    return i;
  }

  function blank(chunk: Uint8Array, start: number, end: number): void {
    listener.known("blank", "", false);
    listener.span(chunk, start, end);
    listener.end(undefined);
  }

  function begin(byte: number): void {
    headLength = 0;
    isKnown = false;
    matched = last = beforeLast = 0;
    const isComment = byte === hyphen || byte === hash;
    type = isComment ? "comment" : "statement";
    at = isComment ? At.Line : At.Statement;
  }

  function finish(): void {
    const text = head.toString("utf8", 0, headLength);
    if (!isKnown) listener.known(type, text, headLength < headBytes);
    if (type === "delimiter") delimiter = readDelimiter(text);
    else if (type === "statement") noteSqlMode(text);
    listener.end(type === "insert" && isCounted ? rows.count() : undefined);
  }

  /** Takes one byte outside the rows of an INSERT: few of a dump's bytes, so it need not be fast. */
  function step(byte: number): void {
    switch (at) {
      case At.Line:
        keep(byte);
        if (byte === newline) at = At.Between;
        return;
      case At.Statement:
        return inStatement(byte);
      case At.Quoted:
        keep(byte);
        if (byte === quoteByte) resume();
        else if (byte === backslash && hasBackslashEscapes && quoteByte !== backtick) {
          at = At.QuotedEscape;
        }
        return;
      case At.QuotedEscape:
        keep(byte);
        at = At.Quoted;
        return;
      case At.LineComment:
        keep(byte);
        if (byte === newline) resume();
        return;
      case At.CommentStart:
        // What `/*!` and `/*M!` hold is executed, so quotes and delimiters count inside.
        keep(byte);
        if (byte === exclamation || byte === plus) resume();
        else if (byte === letterM) at = At.CommentStartM;
        else inBlockComment(byte);
        return;
      case At.CommentStartM:
        keep(byte);
        if (byte === exclamation) resume();
        else inBlockComment(byte);
        return;
      case At.BlockComment:
        keep(byte);
        inBlockComment(byte);
        return;
      default:
        return inInsert(byte);
    }
  }

  function keep(byte: number): void {
    if (headLength === headBytes) return;
    head[headLength++] = byte;
    if (headLength < headBytes || isKnown) return;
    isKnown = true;
    listener.known(type, head.toString("utf8"), false);
  }

  function resume(): void {
    at = At.Statement;
    matched = last = beforeLast = 0;
  }

  function inStatement(byte: number): void {
    keep(byte);
    matched = byte === delimiter[matched] ? matched + 1 : byte === delimiter[0] ? 1 : 0;
    if (matched === delimiter.length) {
      at = At.Between;
    } else if (byte === quote || byte === doubleQuote || byte === backtick) {
      quoteByte = byte;
      at = At.Quoted;
    } else if (byte === hash) {
      at = At.LineComment;
    } else if (byte <= space && last === hyphen && beforeLast === hyphen) {
      if (byte !== newline) at = At.LineComment;
    } else if (byte === asterisk && last === slash) {
      at = At.CommentStart;
    } else {
      beforeLast = last;
      last = byte;
      if (headLength <= sandboxLine.length) recognise();
      return;
    }
    [last, beforeLast] = [0, 0];
  }

  function inBlockComment(byte: number): void {
    at = At.BlockComment;
    if (byte === slash && last === asterisk) resume();
    else last = byte;
  }

  /** Tells DELIMITER lines and INSERT statements by how they begin. */
  function recognise(): void {
    if (headLength === 10 && startsWith("DELIMITER ")) {
      type = "delimiter";
      at = At.Line;
    } else if (headLength === 12 && startsWith(sandboxLine)) {
      type = "comment";
      at = At.Line;
    } else if (
      headLength === 12 && delimiter.equals(plainDelimiter) &&
      (startsWith("INSERT ") || startsWith("REPLACE "))
    ) {
      type = "insert";
      at = At.Insert;
      headLength = 0;
      isCounted = false;
      rows.begin();
    }
  }

  function startsWith(word: string): boolean {
    return head.toString("latin1", 0, word.length).toUpperCase() === word;
  }

  /** Up to the word VALUES: the first name is the table's, the others are columns. */
  function inInsert(byte: number): void {
    switch (at) {
      case At.Insert:
        if (byte === backtick) {
          at = isKnown ? At.InsertColumn : At.InsertTable;
        } else if ((byte & 0xdf) === letterV) {
          keywordLength = 1;
          at = At.InsertKeyword;
        } else if (byte === semicolon) {
          // No VALUES: an INSERT … SELECT, which the tools do not write.
          at = At.Between;
        }
        return;
      case At.InsertTable:
        // A doubled backtick closes and opens again, and stands for one.
        if (byte !== backtick) keep(byte);
        else at = At.InsertTableEnd;
        return;
      case At.InsertTableEnd:
        if (byte === backtick) {
          keep(byte);
          at = At.InsertTable;
          return;
        }
        isKnown = true;
        listener.known("insert", head.toString("utf8", 0, headLength), true);
        at = At.Insert;
        return;
      case At.InsertColumn:
        if (byte === backtick) at = At.Insert;
        return;
      case At.InsertKeyword:
        if (++keywordLength < "VALUES".length) return;
        isCounted = true;
        at = At.Rows;
        return;
    }
  }

  function noteSqlMode(text: string): void {
    const mode = /^(?:\/\*!\d+\s)?\s*SET\s+sql_mode\s*=\s*(?:'([^']*)'|@)/i.exec(text);
    if (mode !== null) hasBackslashEscapes = !/NO_BACKSLASH_ESCAPES/i.test(mode[1] ?? "");
  }

  return { push, isBetweenPieces: () => at === At.Between };
}

const plainDelimiter = Buffer.from(";");

function readDelimiter(lineText: string): Buffer<ArrayBuffer> {
  const found = lineText.slice("DELIMITER ".length).trim();
  if (found === "") throw structureError("has a DELIMITER line without a delimiter");
  return Buffer.from(found);
}
