import { type Token, tokenize } from "./tokens.ts";

/** What a statement of a dump does, as far as a walk or a restore must know. */
export type Statement =
  /** `USE db` */
  | { readonly does: "use"; readonly database: string; readonly name: Token }
  /** `CREATE DATABASE db …` */
  | { readonly does: "create-database"; readonly database: string; readonly name: Token }
  /** `ALTER DATABASE db …`, around routines whose database has another collation. */
  | { readonly does: "alter-database"; readonly database: string; readonly name: Token }
  /** `CREATE …` of an object. */
  | {
    readonly does: "create";
    readonly object: DumpedType;
    readonly name: string;
    /** `user@host` of a view, routine, trigger or event that has one. */
    readonly definer: string | undefined;
    /** For a view: its columns only, put there first so that other views find it. */
    readonly isStub: boolean;
    /** For a trigger: its table. */
    readonly table: string | undefined;
    /** Names of a database in front of the trigger's or its table's name. */
    readonly qualifiers: readonly Qualifier[];
    /** For a table: whether MariaDB keeps its history. */
    readonly isVersioned: boolean;
  }
  /** `DROP … IF EXISTS`, `LOCK TABLES`, `ALTER TABLE`, `DO SETVAL(…)`: about one object. */
  | { readonly does: "touch"; readonly object: DumpedType; readonly name: string }
  /** `SET @@GLOBAL.GTID_PURGED`, `SET @@SESSION.SQL_LOG_BIN`: about the server's log. */
  | { readonly does: "set-log" }
  | { readonly does: "other" };

/** The kinds of object in a dump. */
export type DumpedType =
  | "table"
  | "view"
  | "sequence"
  | "function"
  | "procedure"
  | "package"
  | "trigger"
  | "event";

/** A database's name in front of another name, from its first character to past the dot. */
export interface Qualifier {
  readonly database: string;
  readonly start: number;
  readonly end: number;
}

// CREATE, its options and definer, the name; for triggers, up to the table's name.
const tokenLimit = 48;

/** Tells what a statement does from its beginning. */
export function identify(head: string): Statement {
  const cursor = createCursor(tokenize(head, tokenLimit));
  switch (cursor.word()) {
    case "USE": {
      const name = cursor.token();
      return isName(name) ? { does: "use", database: name.text, name } : { does: "other" };
    }
    case "CREATE":
      return created(cursor, head);
    case "DROP":
      return dropped(cursor);
    case "LOCK":
      cursor.skip("TABLES", "TABLE");
      return touched("table", cursor);
    case "ALTER":
      if (cursor.skip("DATABASE", "SCHEMA")) return databaseStatement("alter-database", cursor);
      return cursor.skip("TABLE") ? touched("table", cursor) : { does: "other" };
    case "DO":
      if (!cursor.skip("SETVAL")) return { does: "other" };
      cursor.mark("(");
      return touched("sequence", cursor);
    case "SET":
      return isAboutLog(head) ? { does: "set-log" } : { does: "other" };
    default:
      return { does: "other" };
  }
}

function isAboutLog(head: string): boolean {
  return /@@GLOBAL\.GTID_PURGED|SQL_LOG_BIN/i.test(head.slice(0, 100));
}

function created(cursor: Cursor, head: string): Statement {
  if (cursor.skip("OR")) cursor.skip("REPLACE");
  if (cursor.skip("DATABASE", "SCHEMA")) return databaseStatement("create-database", cursor);
  const isFinalView = cursor.skip("ALGORITHM");
  if (isFinalView) {
    cursor.mark("=");
    cursor.word();
  }
  const definer = readDefiner(cursor);
  if (cursor.skip("SQL") && cursor.skip("SECURITY")) cursor.word();
  cursor.skip("AGGREGATE");
  const object = objectOf(cursor.word(), cursor);
  if (object === undefined) return { does: "other" };
  skipIfExists(cursor);
  const qualifiers: Qualifier[] = [];
  const name = readQualified(cursor, qualifiers);
  if (name === undefined) return { does: "other" };
  const table = object === "trigger" ? readTriggerTable(cursor, qualifiers) : undefined;
  return {
    does: "create",
    object,
    name,
    definer,
    isStub: object === "view" && !isFinalView && definer === undefined,
    table,
    qualifiers,
    isVersioned: object === "table" && /\bWITH SYSTEM VERSIONING\b/.test(head),
  };
}

function databaseStatement(does: "create-database" | "alter-database", cursor: Cursor): Statement {
  skipIfExists(cursor);
  const name = cursor.token();
  return isName(name) ? { does, database: name.text, name } : { does: "other" };
}

function dropped(cursor: Cursor): Statement {
  const object = objectOf(cursor.word(), cursor);
  skipIfExists(cursor);
  return object === undefined ? { does: "other" } : touched(object, cursor);
}

function touched(object: DumpedType, cursor: Cursor): Statement {
  const name = readQualified(cursor, []);
  return name === undefined ? { does: "other" } : { does: "touch", object, name };
}

function objectOf(word: string | undefined, cursor: Cursor): DumpedType | undefined {
  switch (word) {
    case "TABLE":
      return "table";
    case "VIEW":
      return "view";
    case "SEQUENCE":
      return "sequence";
    case "TRIGGER":
      return "trigger";
    case "EVENT":
      return "event";
    case "PACKAGE":
      cursor.skip("BODY");
      return "package";
    case "FUNCTION":
      return "function";
    case "PROCEDURE":
      return "procedure";
    default:
      return undefined;
  }
}

function skipIfExists(cursor: Cursor): void {
  if (!cursor.skip("IF")) return;
  cursor.skip("NOT");
  cursor.skip("EXISTS");
}

/** `DEFINER=user@host`, in any quotes; a role has no host. */
function readDefiner(cursor: Cursor): string | undefined {
  if (!cursor.skip("DEFINER")) return undefined;
  cursor.mark("=");
  const user = cursor.token();
  if (!cursor.mark("@")) return user?.text;
  return `${user?.text ?? ""}@${cursor.token()?.text ?? ""}`;
}

function readQualified(cursor: Cursor, qualifiers: Qualifier[]): string | undefined {
  const first = cursor.token();
  if (!isName(first)) return undefined;
  const dot = cursor.peek();
  if (dot?.type !== "mark" || dot.text !== ".") return first.text;
  cursor.token();
  qualifiers.push({ database: first.text, start: first.start, end: dot.end });
  return cursor.token()?.text;
}

/** After a trigger's name: `BEFORE INSERT ON table`. */
function readTriggerTable(cursor: Cursor, qualifiers: Qualifier[]): string | undefined {
  for (let words = 0; words < 8; words++) {
    if (cursor.word() === "ON") return readQualified(cursor, qualifiers);
  }
  return undefined;
}

function isName(token: Token | undefined): token is Token {
  return token !== undefined && (token.type === "name" || token.type === "word");
}

interface Cursor {
  /** Takes the next token. */
  token(): Token | undefined;
  peek(): Token | undefined;
  /** Takes the next token and gives it in upper case if it is a word. */
  word(): string | undefined;
  /** Takes the next token if it is one of these words. */
  skip(...words: readonly string[]): boolean;
  /** Takes the next token if it is this mark. */
  mark(text: string): boolean;
}

function createCursor(tokens: readonly Token[]): Cursor {
  let at = 0;
  const upper = (token: Token | undefined) =>
    token?.type === "word" ? token.text.toUpperCase() : undefined;
  const takeIf = (isWanted: boolean) => {
    if (isWanted) at++;
    return isWanted;
  };
  return {
    token: () => tokens[at++],
    peek: () => tokens[at],
    word: () => upper(tokens[at++]),
    skip: (...words) => takeIf(words.includes(upper(tokens[at]) ?? "")),
    mark: (text) => takeIf(tokens[at]?.type === "mark" && tokens[at]?.text === text),
  };
}
