import { Buffer } from "node:buffer";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { escapedBytes, hasEscapedBytes } from "./archive/encoding.ts";
import { renameDatabase, statementsOf, tokensOf } from "./archive/sql.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { sqlState } from "./failure.ts";
import { markDatabase, type RestoreMark } from "./leftover.ts";
import { quoteName } from "./names.ts";
import { isLeftOut } from "./owners.ts";

/** The statements that make a database as it was; pg_restore does this only under the old name. */
export interface DatabaseStatements {
  /** Encoding, locale, tablespace. */
  readonly create: string;
  /** Owner, and settings of one's own that functions may read while rows are loaded. */
  readonly before: readonly string[];
  /** What may stand in the way of the load: a limit of connections, `default_transaction_read_only`. */
  readonly after: readonly string[];
  readonly comment: readonly string[];
}

/** Takes them from an archive, under a name. */
export function databaseStatements(
  { entries }: ArchiveHead,
  name: string,
  restoreArgs: readonly string[],
): DatabaseStatements {
  const database = entries.find(({ description }) => description === "DATABASE");
  const quoted = quoteName(name);
  const original = database?.definition ?? "CREATE DATABASE x WITH TEMPLATE = template0";
  const create = renameDatabase(statementsOf(original)[0]!, quoted);
  const owner = isLeftOut("owner", restoreArgs) ? undefined : database?.owner;
  const statements = (kinds: readonly string[]) =>
    entries.filter((entry) =>
      kinds.includes(entry.description) &&
      (entry.description === "DATABASE PROPERTIES" || entry.tag.startsWith("DATABASE "))
      // A comment or grant on an object called "DATABASE x" has a schema or another statement.
    ).flatMap(({ definition }) => statementsOf(definition)).filter((one) =>
      /\bDATABASE\b/i.test(one)
    ).map((one) => renameDatabase(one, quoted));
  const properties = statements(["DATABASE PROPERTIES"]);
  return {
    create: isLeftOut("tablespaces", restoreArgs)
      ? create.replace(/ TABLESPACE = ("(?:[^"]|"")*"|\S+)/, "")
      : create,
    before: [
      ...owner === undefined ? [] : [`ALTER DATABASE ${quoted} OWNER TO ${quoteName(owner)}`],
      ...properties.filter(isOwnSetting),
    ],
    after: [
      ...properties.filter((one) => !isOwnSetting(one)),
      ...statements([
        ...isLeftOut("privileges", restoreArgs) ? [] : ["ACL"],
        ...restoreArgs.includes("--no-security-labels") ? [] : ["SECURITY LABEL"],
      ]),
    ],
    comment: restoreArgs.includes("--no-comments") ? [] : statements(["COMMENT"]),
  };
}

/** A setting with a dot in its name, which only functions and extensions know. */
function isOwnSetting(statement: string): boolean {
  const tokens = tokensOf(statement).filter(({ source }) => source.trim() !== "");
  const at = tokens.findIndex(({ source }) => source.toUpperCase() === "SET");
  if (at < 0) return false;
  const value = tokens.findIndex(({ source }, index) => index > at && /^(TO|=)$/i.test(source));
  return tokens.slice(at + 1, value).some(({ source }) => source.includes("."));
}

/**
 * Creates a database for an archive, and tries all that {@link finishDatabase} will do to it: what is
 * not allowed shows before hours of loading. The mark is that of {@link markDatabase}.
 *
 * @throws BackupError `restore/failed`
 */
export async function createDatabase(
  client: Client,
  { place, name, mark }: {
    readonly place: string;
    readonly name: string;
    readonly mark: RestoreMark;
  },
  { create, before, after, comment }: DatabaseStatements,
  o: Abortable,
): Promise<void> {
  let isCreated = false;
  try {
    await client.rows(place, create, o);
    isCreated = true;
    await markDatabase(client, place, name, mark, o);
    await runInside(client, name, before, o);
    await client.rows(name, "BEGIN", o);
    await runInside(client, name, [...after, ...comment], o);
    await client.rows(name, "ROLLBACK", o);
  } catch (error) {
    if (isCreated) await dropUnfinished(client, place, name, error);
    o.signal.throwIfAborted();
    if (!(error instanceof Error) || error instanceof BackupError) throw error;
    throw new BackupError("restore/failed", `Cannot create "${name}": ${error.message}`, {
      cause: error,
      hint: sqlState(error) === "53100"
        ? "Free space on the server, then restore again."
        : /locale|collation|encoding/i.test(error.message)
        ? "Install the locale on the target's machine, or create an empty database with another " +
          "one yourself and restore into it."
        : "Create an empty database yourself and restore into it.",
    });
  }
}

/**
 * Runs statements in the database that they are about, as pg_restore does: the server keeps a comment
 * in the bytes of the database that it is given in.
 *
 * @throws PostgresError
 */
export async function runInside(
  client: Client,
  name: string,
  statements: readonly string[],
  o: Abortable,
): Promise<void> {
  // The database's own default may be to change nothing.
  await client.rows(name, "SET default_transaction_read_only = off", o);
  for (const statement of statements) await client.rows(name, sayable(statement), o);
}

/** A statement with bytes that are no UTF-8, as such a database of SQL_ASCII can be told it. */
function sayable(statement: string): string {
  if (!hasEscapedBytes(statement)) return statement;
  const hex = Buffer.from(escapedBytes(statement)).toString("hex");
  return `DO 'BEGIN EXECUTE pg_catalog.convert_from(pg_catalog.decode(''${hex}'', ''hex''), ` +
    "''SQL_ASCII''); END'";
}

/**
 * Removes what a failed restore made so far.
 *
 * @throws BackupError the failure itself with the name of what is left, where nobody answers any more
 */
export async function dropUnfinished(
  client: Client,
  place: string,
  name: string,
  failure: unknown,
): Promise<void> {
  // Who was waited for already is not waited for again.
  if (!hasCode(failure, "connection/silent") && await dropDatabase(client, place, name)) return;
  if (!(failure instanceof Error)) return;
  const known = failure instanceof BackupError ? failure : undefined;
  throw new BackupError(known?.code ?? "restore/failed", failure.message, {
    cause: failure,
    hint:
      `${known?.hint === undefined ? "" : `${known.hint} `}What was restored so far may still ` +
      `be there as "${name}"; it is no whole database, and the next restore to the same name drops ` +
      "it.",
    details: { ...known?.details, unfinished: name },
  });
}

/**
 * Removes a database that a restore made, if it is there; also after the restore was aborted.
 *
 * @returns whether it is gone: not where nobody answers any more
 */
export async function dropDatabase(client: Client, place: string, name: string): Promise<boolean> {
  // The client gives up a server without a sign of life, and one that it gave up is not asked again.
  const o = new AbortController();
  const quoted = quoteName(name);
  const steps = [
    () => dropSubscriptions(client, name, o),
    () => client.release(name),
    // A template cannot be dropped.
    () => client.rows(place, `ALTER DATABASE ${quoted} IS_TEMPLATE false`, o),
    // FORCE, since PostgreSQL 13: the stopped pg_restore's session may not have noticed yet.
    () => client.rows(place, `DROP DATABASE IF EXISTS ${quoted} WITH (FORCE)`, o),
    () => client.rows(place, `DROP DATABASE IF EXISTS ${quoted}`, o),
  ];
  let isGone = false;
  for (const [index, step] of steps.entries()) {
    try {
      await step();
      isGone = index >= 3;
    } catch (error) {
      if (hasCode(error, "connection/silent") || hasCode(error, "connection/unreachable")) {
        return false;
      }
    }
    if (isGone) return true;
  }
  return false;
}

/** A database with a subscription cannot be dropped; the slot on the other side is not this one's. */
async function dropSubscriptions(client: Client, name: string, o: Abortable): Promise<void> {
  const found = await client.rows(
    name,
    `SELECT subname::text AS name FROM pg_catalog.pg_subscription
      WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`,
    o,
  );
  for (const row of found) {
    const subscription = quoteName(String(row["name"]));
    await client.rows(name, `ALTER SUBSCRIPTION ${subscription} DISABLE`, o);
    await client.rows(name, `ALTER SUBSCRIPTION ${subscription} SET (slot_name = NONE)`, o);
    await client.rows(name, `DROP SUBSCRIPTION ${subscription}`, o);
  }
}
