import { Buffer } from "node:buffer";
import { BackupError } from "../../../core/errors.ts";
import { counted, listed } from "../../../core/text.ts";
import { quoteName } from "../client.ts";
import { mentions } from "../mention.ts";
import { replaced, type Replacement } from "../translate.ts";
import { stilled, type StillEvent } from "./event-status.ts";
import { utf8Of } from "./format.ts";
import type { LoggedQuery } from "./query.ts";
import {
  type DatabaseAt,
  hasBody,
  type LoggedStatement,
  type NamedAt,
  readStatement,
} from "./statement.ts";

/** What of a log is replayed, and under which names. */
export interface ReplayNames {
  /** The name that a database gets; undefined where it is not restored. */
  rename(database: string): string | undefined;
}

/** Decides about the statements of a log, one after the other. */
export interface StatementFilter {
  /**
   * The statement as it is to be run; undefined where it is not.
   *
   * @param place where it stands, for people
   * @throws BackupError `restore/failed` where it concerns what is restored and what is not
   */
  take(query: LoggedQuery, place: string): LoggedQuery | undefined;
  /** What was passed over or may surprise, as sentences. */
  warnings(): string[];
}

/** A scheduled event of the target. */
export interface EventStatus {
  readonly database: string;
  readonly name: string;
  readonly isEnabled: boolean;
}

/**
 * Makes a filter.
 *
 * @param events those that are there already, to which the log's are added
 */
export function createStatementFilter(
  { rename }: ReplayNames,
  events: Map<string, EventStatus>,
): StatementFilter {
  let accounts = 0;
  let ofServer = 0;
  /** Programs whose text names a database that is restored under another name. */
  const pointing = new Set<string>();

  function take(query: LoggedQuery, place: string): LoggedQuery | undefined {
    const statement = readStatement(query.sql);
    switch (statement.does) {
      case "control":
        return query;
      case "nothing":
        return undefined;
      case "server":
        if (statement.isAccounts) accounts++;
        else ofServer++;
        return undefined;
      case "database": {
        const name = rename(statement.at.database);
        if (name === undefined) return undefined;
        return { database: name, sql: edited(query.sql, [renamed(statement.at, name)]) };
      }
      case "objects":
        return takeObjects(statement, query, place);
      case "unknown": {
        const session = rename(query.database);
        if (query.database !== "" && session === undefined) return undefined;
        if (query.database !== "" && session === query.database) return query;
        throw refused(place, query.sql, "cannot be told to concern what is restored");
      }
    }
  }

  function takeObjects(
    { objects, qualifiers, type, verb }: Extract<LoggedStatement, { does: "objects" }>,
    query: LoggedQuery,
    place: string,
  ): LoggedQuery | undefined {
    const targets = objects.map(({ database }) => rename(database ?? query.database));
    if (targets.every((name) => name === undefined)) return undefined;
    if (targets.includes(undefined)) {
      throw refused(place, query.sql, "changes several databases, of which not all are restored");
    }
    const session = rename(query.database);
    const isElsewhere = query.database !== "" && session === undefined;
    if (
      isElsewhere && (type === "VIEW" || objects.some(({ database }) => database === undefined))
    ) {
      throw refused(place, query.sql, "was run in a database that is not restored");
    }
    const still = type === "EVENT"
      ? follow(objects, query, verb, stilled(query.sql, query.invoker))
      : undefined;
    const changes = [
      ...qualifiers.flatMap((one) => {
        const name = rename(one.database);
        return name === undefined || name === one.database ? [] : [renamed(one, name)];
      }),
      ...still?.replacements ?? [],
    ];
    if (hasBody(type) && verb !== "DROP") {
      const text = query.sql.slice(Math.max(0, ...qualifiers.map(({ end }) => end)));
      noteNames(objects[0]!, query.database, targets[0]!, text);
    }
    const database = query.database === "" ? "" : session ?? targets[0]!;
    return { database, sql: changes.length === 0 ? query.sql : edited(query.sql, changes) };
  }

  function follow(
    objects: readonly NamedAt[],
    query: LoggedQuery,
    verb: string,
    still: StillEvent | undefined,
  ): StillEvent | undefined {
    const [first, second] = objects.map(({ database, name }) => ({
      database: rename(database ?? query.database) ?? "",
      name,
    }));
    if (first === undefined) return still;
    const before = events.get(keyOf(first));
    if (verb === "DROP" || second !== undefined) events.delete(keyOf(first));
    if (verb !== "DROP") {
      const isEnabled = still?.isEnabled ?? before?.isEnabled ?? false;
      const now = second ?? first;
      events.set(keyOf(now), { ...now, isEnabled });
    }
    return still;
  }

  /** @param text what is behind the names that are changed */
  function noteNames(
    { database, name }: NamedAt,
    session: string,
    target: string,
    text: string,
  ): void {
    const from = database ?? session;
    if (from === target || !mentions(utf8Of(text), from)) return;
    pointing.add(`"${target}.${name}", which names "${from}"`);
  }

  function warnings(): string[] {
    const passed = (count: number, what: string, left: string) =>
      count === 0 ? [] : [
        `${counted(count, "statement")} about ${what} in the log ` +
        `${count === 1 ? "was" : "were"} not replayed: ${left}`,
      ];
    return [
      ...passed(
        accounts,
        "users and grants",
        "accounts are as in the full backup, or as they were",
      ),
      ...passed(ofServer, "the server as a whole", "plugins, remote servers and tablespaces"),
      ...pointing.size === 0 ? [] : [
        `These still read or WRITE the database that their text names: ${listed([...pointing])}. ` +
        "Change them before anything uses the copy",
      ],
    ];
  }

  return { take, warnings };
}

/** Events of one name differ in nothing but case, which does not count. */
export function keyOf({ database, name }: Pick<EventStatus, "database" | "name">): string {
  return JSON.stringify([database, name.toLowerCase()]);
}

function renamed({ start, end }: DatabaseAt, name: string): Replacement {
  return { start, end, text: quoteName(name) };
}

function edited(sql: string, replacements: readonly Replacement[]): string {
  // The log's text has a byte in each character.
  const inBytes = replacements.map(({ start, end, text }) => ({
    start,
    end,
    text: Buffer.from(text).toString("latin1"),
  }));
  return replaced(sql, inBytes.toSorted((a, b) => a.start - b.start));
}

function refused(place: string, sql: string, why: string): BackupError {
  const head = Buffer.from(sql.slice(0, 100), "latin1").toString("utf8").replaceAll(/\s+/g, " ");
  return new BackupError("restore/failed", `The statement at ${place} ${why}: ${head}`, {
    hint: "Restore all databases of the backup under their own names, or to a moment before it.",
  });
}
