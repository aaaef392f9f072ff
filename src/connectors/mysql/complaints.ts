import type { RestoreFailure } from "../../contracts/restore.ts";
import type { DumpedType } from "./statements.ts";

/** A statement that was handed to the client. */
export interface FedStatement {
  /** The line it begins on, from 1, as the client counts them. */
  readonly line: number;
  /** The database's name on the target; undefined before the first. */
  readonly database: string | undefined;
  /** `insert`: rows of a table. `other`: about no object that is known. */
  readonly does: "create" | "insert" | "touch" | "other";
  readonly object?: DumpedType;
  readonly name?: string;
  /** How it begins. */
  readonly head: string;
  /** Of an insert, once it was seen to its end. */
  rows?: number;
}

/** Follows what a client says of the statements that fail while it goes on. */
export interface Complaints {
  /** Told of each statement before the client gets it. */
  note(statement: FedStatement): void;
  /** Told of standard error as it comes. */
  hear(text: string): void;
  /** The failures, once the client has ended. */
  failures(): readonly RestoreFailure[];
  /** The first complaint after which nothing more can work: the connection is lost. */
  lost(): string | undefined;
}

// The client is behind what it is handed by what pipes and its own buffer hold, far less than this.
const keptStatements = 50_000;
// A server that refuses everything must not fill the memory.
const keptFailures = 10_000;

const complaint = /^ERROR (?:(\d+) \(\w+\) )?at line (\d+)(?: in file: '[^']*')?: ([^]*)$/;

/** Makes a follower. `ERROR 1062 (23000) at line 10: Duplicate entry …` is how clients complain. */
export function createComplaints(): Complaints {
  let statements: FedStatement[] = [];
  let rest = "";
  let lost: string | undefined;
  const failed: { readonly statement: FedStatement | undefined; readonly message: string }[] = [];
  /** Tables that could not be made: what is said about them afterwards fails because of that. */
  const missing = new Set<string>();

  function take(line: string): void {
    const [, code, at, message] = complaint.exec(line.trimEnd()) ?? [];
    if (at === undefined || message === undefined) return;
    // Codes of the client itself: server gone away, connection lost.
    if (code !== undefined && Number(code) >= 2000 && Number(code) < 3000) lost ??= line.trim();
    const statement = statementAt(Number(at));
    if (statement !== undefined) {
      const key = JSON.stringify([statement.database, statement.name]);
      const isTable = statement.object === "table" || statement.does === "insert";
      if (statement.does !== "create" && isTable && missing.has(key)) return;
      if (statement.does === "create" && isTable) missing.add(key);
    }
    if (failed.length < keptFailures) failed.push({ statement, message: line.trim() });
  }

  function statementAt(line: number): FedStatement | undefined {
    return statements.findLast((statement) => statement.line <= line);
  }

  return {
    note(statement) {
      statements.push(statement);
      if (statements.length >= 2 * keptStatements) statements = statements.slice(-keptStatements);
    },
    hear(text) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      lines.forEach(take);
    },
    failures() {
      take(rest);
      rest = "";
      return failed.map(({ statement, message }) => asFailure(statement, message));
    },
    lost: () => lost,
  };
}

function asFailure(statement: FedStatement | undefined, message: string): RestoreFailure {
  const { database = "", does, object = "table", name, head = "", rows } = statement ?? {};
  if (name === undefined || does === "other") {
    const what = head.replaceAll(/\s+/g, " ").slice(0, 80);
    return {
      database,
      message,
      leaves: what === "" ? "A statement had no effect" : `Without effect: ${what}`,
    };
  }
  const title = `${object} ${name}`;
  if (does === "create") {
    const more = object === "table" ? ", with its rows" : "";
    return { database, object: title, message, leaves: `The ${object} is missing${more}` };
  }
  if (does === "insert") {
    const some = rows === undefined ? "rows" : `${rows} of its rows`;
    return { database, object: title, message, leaves: `The ${object} lacks ${some}` };
  }
  const what = head.replaceAll(/\s+/g, " ").slice(0, 80);
  return { database, object: title, message, leaves: `Without effect: ${what}` };
}
