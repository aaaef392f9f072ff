import { Buffer } from "node:buffer";
import type { Bytes } from "../../core/bytes.ts";
import { quoteName } from "./client.ts";
import type { FedStatement } from "./complaints.ts";
import { createScanner, type PieceType } from "./scanner.ts";
import { type DumpedType, identify, type Qualifier, type Statement } from "./statements.ts";
import type { Token } from "./tokens.ts";
import type { Replacement } from "./translate.ts";

/** What of a dump passes, and under which names. */
export interface Rewriting {
  /** The name that a database gets; undefined leaves it out with everything in it. */
  rename(database: string): string | undefined;
  /** Whether an object passes, with all that is said about it. */
  keeps(database: string, object: DumpedType, name: string): boolean;
  /** Whether a table's rows pass. */
  keepsRows(database: string, table: string): boolean;
  /** Whether what is said about the server's log passes, and the sandbox line. */
  readonly keepsServerLines: boolean;
  /** Whether a default that is a sequence's next value goes along under the new name. */
  readonly movesSequences?: boolean;
  /**
   * What else changes in a statement that is no INSERT, counted in characters.
   *
   * @param database the one that it stands in, as the dump names it
   */
  translate?(head: string, database: string | undefined): readonly Replacement[];
  /** Statements to run after a database was made, as SQL with delimiters. */
  afterCreate?(database: string, statement: string): string;
  /** Told of each statement that passes, before its bytes do. */
  note?(statement: FedStatement): void;
}

/** Replaces bytes of a piece, counted from its start. */
interface Patch {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Passes a dump on in part or under other names. What passes unchanged is not copied, so a chunk is
 * valid only until the next is asked for.
 */
export async function* rewriteDump(bytes: Bytes, rules: Rewriting): Bytes {
  const out: Uint8Array[] = [];
  const editor = createEditor(rules, out);
  for await (const chunk of bytes) {
    editor.push(chunk);
    yield* out;
    out.length = 0;
  }
}

function createEditor(rules: Rewriting, out: Uint8Array[]) {
  let database: string | undefined;
  /** Bytes of the piece before it was known. */
  let pending: Uint8Array[] = [];
  let isKnown = false;
  let isKept = true;
  let patches: Patch[] = [];
  /** Written behind the piece. */
  let appendix = "";
  let offset = 0;
  /** The line that the next byte is on, counted only for who wants to know. */
  let line = 1;
  let noted: FedStatement | undefined;
  let last: { chunk: Uint8Array; end: number } | undefined;

  const scanner = createScanner({
    span(chunk, start, end) {
      // Not slice(): a Buffer shares its memory with what that returns.
      if (!isKnown) pending.push(new Uint8Array(chunk.subarray(start, end)));
      else pass(chunk, start, end);
    },
    known(type, head, isWhole) {
      isKnown = true;
      judge(type, head, isWhole);
      if (isKept && rules.note !== undefined) note(type, head);
      const before = pending;
      pending = [];
      for (const bytes of before) pass(bytes, 0, bytes.length);
    },
    end(rows) {
      if (noted !== undefined && rows !== undefined) noted.rows = rows;
      noted = undefined;
      if (isKept && appendix !== "") write(Buffer.from(appendix));
      isKnown = false;
      isKept = true;
      patches = [];
      appendix = "";
      offset = 0;
    },
  });

  function judge(type: PieceType, head: string, isWhole: boolean): void {
    if (type === "insert") {
      isKept = isInside() && rules.keeps(database ?? "", "table", head) &&
        rules.keepsRows(database ?? "", head);
    } else if (type === "statement") {
      judgeStatement(identify(head), head, isWhole);
      if (!isKept) return;
      for (const { start, end, text } of rules.translate?.(head, database) ?? []) {
        patch(head, start, end, text);
      }
      patches.sort((a, b) => a.start - b.start);
    } else if (type === "comment" && head.startsWith("/*M!999999")) {
      isKept = rules.keepsServerLines;
    } else {
      isKept = isInside() || head.startsWith("-- Dump completed");
    }
  }

  function judgeStatement(statement: Statement, head: string, isWhole: boolean): void {
    switch (statement.does) {
      case "use":
      case "create-database":
        database = statement.database;
        renameAt(head, statement.name);
        if (statement.does === "create-database" && isWhole && isInside()) {
          appendix = rules.afterCreate?.(database, head.slice(statement.name.end)) ?? "";
        }
        break;
      case "alter-database":
        renameAt(head, statement.name);
        break;
      case "create":
        isKept = isInside() && keepsObject(statement.object, statement.table ?? statement.name);
        for (const qualifier of statement.qualifiers) renameQualifier(head, qualifier);
        if (statement.object === "table" && rules.movesSequences === true) renameSequences(head);
        break;
      case "touch":
        isKept = isInside() && keepsObject(statement.object, statement.name);
        break;
      case "set-log":
        isKept = rules.keepsServerLines;
        break;
      case "other":
        isKept = isInside();
    }
  }

  function note(type: PieceType, head: string): void {
    if (type !== "insert" && type !== "statement") return;
    const base = {
      line,
      database: database === undefined ? undefined : rules.rename(database),
      head: head.slice(0, 200),
    };
    noted = type === "insert"
      ? { ...base, does: "insert", object: "table", name: head }
      : { ...base, ...about(identify(head)) };
    rules.note!(noted);
  }

  /** A trigger belongs to its table; a view's stand-in is a table of its name. */
  function keepsObject(object: DumpedType, name: string): boolean {
    const type = object === "trigger" ? "table" : object;
    return rules.keeps(database ?? "", type, name);
  }

  function isInside(): boolean {
    return database === undefined || rules.rename(database) !== undefined;
  }

  function renameAt(head: string, { text, start, end }: Token): void {
    const name = rules.rename(text);
    isKept = name !== undefined;
    if (name !== undefined && name !== text) patch(head, start, end, quoteName(name));
  }

  function renameQualifier(head: string, { database: named, start, end }: Qualifier): void {
    const name = rules.rename(named);
    if (name !== undefined && name !== named) patch(head, start, end, `${quoteName(name)}.`);
  }

  /** MariaDB writes `` DEFAULT nextval(`db`.`sequence`) ``, always with the database. */
  function renameSequences(head: string): void {
    for (const match of head.matchAll(/\b(?:next|last)val\(`((?:[^`]|``)+)`\./g)) {
      const name = match[1]!.replaceAll("``", "`");
      const end = match.index + match[0].length;
      renameQualifier(head, { database: name, start: end - match[1]!.length - 3, end });
    }
  }

  function patch(head: string, start: number, end: number, text: string): void {
    const bytesBefore = (index: number) => Buffer.byteLength(head.slice(0, index));
    patches.push({ start: bytesBefore(start), end: bytesBefore(end), text });
  }

  function pass(chunk: Uint8Array, start: number, end: number): void {
    const from = offset;
    offset += end - start;
    if (!isKept) return;
    let at = start;
    for (const { start: first, end: after, text } of patches) {
      if (after <= from || first >= offset) continue;
      const [cut, next] = [start + Math.max(0, first - from), start + after - from];
      add(chunk, at, cut);
      if (first >= from) write(Buffer.from(text));
      at = Math.min(end, next);
    }
    add(chunk, at, end);
  }

  /** Spans that touch are one. */
  function add(chunk: Uint8Array, start: number, end: number): void {
    if (start >= end) return;
    if (rules.note !== undefined) line += newlines(chunk, start, end);
    if (last?.chunk === chunk && last.end === start && out.length > 0) {
      const whole = out[out.length - 1]!;
      out[out.length - 1] = chunk.subarray(start - whole.length, end);
    } else {
      out.push(chunk.subarray(start, end));
    }
    last = { chunk, end };
  }

  function write(bytes: Uint8Array): void {
    if (rules.note !== undefined) line += newlines(bytes, 0, bytes.length);
    out.push(bytes);
    last = undefined;
  }

  return {
    push(chunk: Uint8Array): void {
      last = undefined;
      scanner.push(chunk);
    },
  };
}

function about(statement: Statement): Pick<FedStatement, "does" | "object" | "name"> {
  if (statement.does !== "create" && statement.does !== "touch") return { does: "other" };
  const { does, object, name } = statement;
  return { does, object, name };
}

function newlines(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a, start); at >= 0 && at < end; at = bytes.indexOf(0x0a, at + 1)) {
    count++;
  }
  return count;
}
