import { Buffer } from "node:buffer";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { escapedBytes, hasEscapedBytes } from "./archive/encoding.ts";
import { renameDatabase, statementsOf } from "./archive/sql.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { quoteName } from "./names.ts";
import { isLeftOut } from "./owners.ts";

/**
 * The statements that make a database as it was: encoding, locale, owner, comment, privileges,
 * settings. pg_restore does this only under the old name.
 */
export function databaseStatements(
  { entries }: ArchiveHead,
  name: string,
  restoreArgs: readonly string[],
): { create: string; then: string[] } {
  const database = entries.find(({ description }) => description === "DATABASE");
  const quoted = quoteName(name);
  const original = database?.definition ?? "CREATE DATABASE x WITH TEMPLATE = template0";
  const create = renameDatabase(statementsOf(original)[0]!, quoted);
  const owner = isLeftOut("owner", restoreArgs) ? undefined : database?.owner;
  const kinds = [
    "DATABASE PROPERTIES",
    ...isLeftOut("privileges", restoreArgs) ? [] : ["ACL"],
    ...restoreArgs.includes("--no-comments") ? [] : ["COMMENT"],
    ...restoreArgs.includes("--no-security-labels") ? [] : ["SECURITY LABEL"],
  ];
  const about = entries.filter((entry) =>
    kinds.includes(entry.description) &&
    (entry.description === "DATABASE PROPERTIES" || entry.tag.startsWith("DATABASE "))
  );
  // A comment or grant on an object called "DATABASE x" has a schema or another statement.
  const statements = about.flatMap(({ definition }) => statementsOf(definition))
    .filter((one) => /\bDATABASE\b/i.test(one));
  return {
    create: isLeftOut("tablespaces", restoreArgs)
      ? create.replace(/ TABLESPACE = ("(?:[^"]|"")*"|\S+)/, "")
      : create,
    then: [
      ...owner === undefined ? [] : [`ALTER DATABASE ${quoted} OWNER TO ${quoteName(owner)}`],
      ...statements.map((one) => renameDatabase(one, quoted)),
    ],
  };
}

/**
 * Creates a database for an archive.
 *
 * @throws BackupError `restore/failed`
 */
export async function createDatabase(
  client: Client,
  place: string,
  name: string,
  head: ArchiveHead,
  restoreArgs: readonly string[],
  o: Abortable,
): Promise<void> {
  const { create, then } = databaseStatements(head, name, restoreArgs);
  let isCreated = false;
  try {
    await client.rows(place, create, o);
    isCreated = true;
    // From inside, as pg_restore does: the server keeps a comment in the bytes of the database that
    // it is given in.
    for (const statement of then) await client.rows(name, sayable(statement), o);
  } catch (error) {
    if (isCreated) await dropDatabase(client, place, name);
    o.signal.throwIfAborted();
    if (!(error instanceof Error) || error instanceof BackupError) throw error;
    throw new BackupError("restore/failed", `Cannot create "${name}": ${error.message}`, {
      cause: error,
      hint: /locale|collation|encoding/i.test(error.message)
        ? "Install the locale on the target's machine, or create an empty database with another " +
          "one yourself and restore into it."
        : "Create an empty database yourself and restore into it.",
    });
  }
}

/** A statement with bytes that are no UTF-8, as such a database of SQL_ASCII can be told it. */
function sayable(statement: string): string {
  if (!hasEscapedBytes(statement)) return statement;
  const hex = Buffer.from(escapedBytes(statement)).toString("hex");
  return `DO 'BEGIN EXECUTE pg_catalog.convert_from(pg_catalog.decode(''${hex}'', ''hex''), ` +
    "''SQL_ASCII''); END'";
}

/** Removes a database that a restore made, if it is there; also after the restore was aborted. */
export async function dropDatabase(client: Client, place: string, name: string): Promise<void> {
  const { signal } = new AbortController();
  await client.release(name);
  // A template cannot be dropped.
  await client.rows(place, `ALTER DATABASE ${quoteName(name)} IS_TEMPLATE false`, { signal })
    .catch(() => {});
  // FORCE, since PostgreSQL 13: the stopped pg_restore's session may not have noticed yet.
  await client.rows(place, `DROP DATABASE IF EXISTS ${quoteName(name)} WITH (FORCE)`, { signal })
    .catch(() =>
      client.rows(place, `DROP DATABASE IF EXISTS ${quoteName(name)}`, { signal }).catch(() => {})
    );
}
