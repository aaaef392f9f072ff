import { type Token, tokenize } from "../tokens.ts";
import { utf8Of } from "./format.ts";

/** A name in a statement, with the database in front of it. */
export interface NamedAt {
  /** Undefined where the session's is meant. */
  readonly database: string | undefined;
  readonly name: string;
}

/** Whether an object's text may name other objects with their database, and is kept as it is. */
export function hasBody(type: string): boolean {
  return programs.includes(type);
}

/** The name of a database, by its place in the statement. */
export interface DatabaseAt {
  readonly database: string;
  readonly start: number;
  readonly end: number;
}

/** What a statement of the log does, as far as its replay must know. */
export type LoggedStatement =
  /** Of the transaction itself: BEGIN, SAVEPOINT. */
  | { readonly does: "control" }
  /** Makes, alters or drops a database. */
  | { readonly does: "database"; readonly at: DatabaseAt }
  /** Makes, alters or drops objects. */
  | {
    readonly does: "objects";
    readonly type: string;
    readonly verb: string;
    readonly objects: readonly NamedAt[];
    /** Every database that stands in front of a name. */
    readonly qualifiers: readonly DatabaseAt[];
  }
  /** About users, or the server as a whole. */
  | { readonly does: "server"; readonly isAccounts: boolean }
  /** Changes nothing that is kept: ANALYZE TABLE, FLUSH. */
  | { readonly does: "nothing" }
  | { readonly does: "unknown" };

// What has a body of its own, in which a name with a dot may be anything.
const programs = ["TRIGGER", "EVENT", "PROCEDURE", "FUNCTION", "PACKAGE", "LIBRARY"];
const ofServer = [
  "SERVER",
  "TABLESPACE",
  "LOGFILE",
  "UNDO",
  "RESOURCE",
  "INSTANCE",
  "SPATIAL",
];
const before =
  /^(?:OR|REPLACE|TEMPORARY|ONLINE|OFFLINE|IGNORE|UNIQUE|FULLTEXT|AGGREGATE|SQL|SECURITY|INVOKER|DEFINER|ALGORITHM|MERGE|TEMPTABLE|UNDEFINED|NOWAIT|MATERIALIZED|JSON|RELATIONAL|DUALITY)$/;

/** Tells what a statement of the log does. Its text has a byte in each character. */
export function readStatement(sql: string): LoggedStatement {
  const cursor = createCursor(tokenize(sql, maxTokens));
  let verb = cursor.word();
  if (verb === "SET" && cursor.peekWord() === "STATEMENT") {
    while (verb !== undefined && verb !== "FOR") verb = cursor.word();
    verb = cursor.word();
  }
  switch (verb) {
    case "BEGIN":
    case "START":
    case "COMMIT":
    case "ROLLBACK":
    case "SAVEPOINT":
    case "RELEASE":
      return { does: "control" };
    case "GRANT":
    case "REVOKE":
    case "SET":
      return { does: "server", isAccounts: true };
    case "ANALYZE":
    case "OPTIMIZE":
    case "REPAIR":
    case "CHECK":
    case "FLUSH":
      return { does: "nothing" };
    case "INSTALL":
    case "UNINSTALL":
      return { does: "server", isAccounts: false };
    case "CREATE":
    case "ALTER":
    case "DROP":
      return defining(verb, cursor, sql);
    case "RENAME":
      if (cursor.word() !== "TABLE" && cursor.lastWord() !== "TABLES") {
        return { does: "server", isAccounts: true };
      }
      return objects(verb, "TABLE", listOf(cursor), cursor);
    case "TRUNCATE":
      if (cursor.peekWord() === "TABLE") cursor.word();
      return objects(verb, "TABLE", listOf(cursor), cursor);
    case "DELETE":
      cursor.word();
      return objects(verb, "TABLE", listOf(cursor), cursor);
    default:
      return { does: "unknown" };
  }
}

// More than any statement but dumps of rows has.
const maxTokens = 1_000_000;

function defining(verb: string, cursor: Cursor, sql: string): LoggedStatement {
  for (let word = cursor.peekWord(); word !== undefined && before.test(word);) {
    cursor.word();
    if (word === "DEFINER") skipDefiner(cursor);
    if (word === "ALGORITHM") cursor.skipMark("=");
    // CREATE SPATIAL INDEX is a table's, CREATE SPATIAL REFERENCE SYSTEM the server's.
    word = cursor.peekWord();
  }
  let type = cursor.word() ?? "";
  if (type === "SPATIAL" && cursor.peekWord() === "INDEX") type = cursor.word()!;
  if (type === "USER" || type === "ROLE") return { does: "server", isAccounts: true };
  if (ofServer.includes(type)) return { does: "server", isAccounts: false };
  if (type === "PACKAGE" && cursor.peekWord() === "BODY") cursor.word();
  skipIfExists(cursor);
  if (type === "DATABASE" || type === "SCHEMA") {
    const token = cursor.token();
    return token === undefined ? { does: "unknown" } : {
      does: "database",
      at: { database: utf8Of(token.text), start: token.start, end: token.end },
    };
  }
  if (type === "INDEX") {
    while (cursor.peekWord() !== "ON" && cursor.peek() !== undefined) cursor.token();
    cursor.word();
    return objects(verb, "TABLE", oneOf(cursor), cursor);
  }
  if (type === "FUNCTION" && verb === "CREATE" && /\bSONAME\b/i.test(sql.slice(0, 1000))) {
    return { does: "server", isAccounts: false };
  }
  if (["TABLE", "TABLES", "VIEW", "SEQUENCE", ...programs].includes(type)) {
    const named = verb === "DROP" ? listOf(cursor) : oneOf(cursor);
    if (type === "TRIGGER" && verb === "CREATE") {
      while (cursor.peekWord() !== "ON" && cursor.peek() !== undefined) cursor.token();
      cursor.word();
      named.push(...oneOf(cursor));
    }
    if (verb === "ALTER" && type !== "VIEW") named.push(...furtherOf(cursor));
    return objects(verb, type === "TABLES" ? "TABLE" : type, named, cursor);
  }
  return { does: "unknown" };
}

function objects(
  verb: string,
  type: string,
  named: readonly NamedAt[],
  cursor: Cursor,
): LoggedStatement {
  if (named.length === 0) return { does: "unknown" };
  const end = programs.includes(type) ? cursor.at() : undefined;
  return { does: "objects", type, verb, objects: named, qualifiers: cursor.qualifiers(end) };
}

/** `a, b.c TO d, …` */
function listOf(cursor: Cursor): NamedAt[] {
  const named: NamedAt[] = [];
  while (cursor.peek() !== undefined) {
    named.push(...oneOf(cursor));
    const next = cursor.peek();
    const isMore = next?.text === "," || next?.text.toUpperCase() === "TO";
    if (!isMore) break;
    cursor.token();
  }
  return named;
}

function oneOf(cursor: Cursor): NamedAt[] {
  const first = cursor.token();
  if (first === undefined || (first.type !== "name" && first.type !== "word")) return [];
  if (!cursor.skipMark(".")) return [{ database: undefined, name: utf8Of(first.text) }];
  const second = cursor.token();
  return second === undefined ? [] : [{ database: utf8Of(first.text), name: utf8Of(second.text) }];
}

/** What ALTER TABLE renames to or exchanges with, ALTER EVENT renames to. */
function furtherOf(cursor: Cursor): NamedAt[] {
  const named: NamedAt[] = [];
  for (let depth = 0, token = cursor.token(); token !== undefined; token = cursor.token()) {
    if (token.text === "(") depth++;
    if (token.text === ")") depth--;
    if (depth > 0 || token.type !== "word") continue;
    const word = token.text.toUpperCase();
    if (word === "DO") break;
    const next = cursor.peekWord();
    if (word === "RENAME" && !["COLUMN", "INDEX", "KEY"].includes(next ?? "")) {
      if (next === "TO" || next === "AS" || cursor.peek()?.text === "=") cursor.token();
      named.push(...oneOf(cursor));
    } else if (word === "WITH" && next === "TABLE") {
      cursor.token();
      named.push(...oneOf(cursor));
    }
  }
  return named;
}

function skipDefiner(cursor: Cursor): void {
  if (!cursor.skipMark("=")) return;
  cursor.token();
  if (cursor.skipMark("(")) cursor.skipMark(")");
  if (cursor.skipMark("@")) cursor.token();
}

function skipIfExists(cursor: Cursor): void {
  if (cursor.peekWord() !== "IF") return;
  cursor.token();
  if (cursor.peekWord() === "NOT") cursor.token();
  if (cursor.peekWord() === "EXISTS") cursor.token();
}

interface Cursor {
  token(): Token | undefined;
  peek(): Token | undefined;
  /** The next token in upper case, if it is a word. */
  word(): string | undefined;
  peekWord(): string | undefined;
  lastWord(): string | undefined;
  skipMark(text: string): boolean;
  at(): number;
  /** All that stand in front of a dot and a name, up to a token. */
  qualifiers(end?: number): DatabaseAt[];
}

function createCursor(tokens: readonly Token[]): Cursor {
  let at = 0;
  const upper = (token: Token | undefined) =>
    token?.type === "word" ? token.text.toUpperCase() : undefined;
  const isDot = (token: Token | undefined) => token?.type === "mark" && token.text === ".";
  const isNamed = (token: Token | undefined) => token?.type === "name" || token?.type === "word";
  return {
    token: () => tokens[at++],
    peek: () => tokens[at],
    word: () => upper(tokens[at++]),
    peekWord: () => upper(tokens[at]),
    lastWord: () => upper(tokens[at - 1]),
    skipMark(text) {
      const isIt = tokens[at]?.type === "mark" && tokens[at]?.text === text;
      if (isIt) at++;
      return isIt;
    },
    at: () => at,
    qualifiers(end = tokens.length) {
      return tokens.slice(0, end).flatMap((token, index) => {
        const isFirst = isNamed(token) && !isDot(tokens[index - 1]) && isDot(tokens[index + 1]) &&
          isNamed(tokens[index + 2]);
        const { start, end } = token;
        return isFirst ? [{ database: utf8Of(token.text), start, end }] : [];
      });
    },
  };
}
