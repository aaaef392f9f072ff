import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { plainName, statementsOf, tokensOf } from "./archive/sql.ts";
import type { Client } from "./client.ts";
import { sqlState } from "./failure.ts";

/**
 * Creates the roles and tablespaces of a backup that the target has not, with their passwords,
 * settings and memberships. What is there already keeps its attributes and its password: the role
 * that restores is among them.
 *
 * @returns warnings
 * @throws BackupError `restore/failed`
 */
export async function applyAccounts(
  client: Client,
  place: string,
  sql: string,
  o: Abortable,
): Promise<string[]> {
  const present = await client.rows(
    place,
    `SELECT 'ROLE ' || rolname AS name FROM pg_catalog.pg_roles
     UNION ALL SELECT 'TABLESPACE ' || spcname FROM pg_catalog.pg_tablespace`,
    o,
  );
  const there = new Set(present.map((row) => String(row["name"])));
  const kept = new Set<string>();
  const warnings: string[] = [];
  for (const statement of statementsOf(sql)) {
    const subject = subjectOf(statement);
    if (subject !== undefined && there.has(subject)) {
      if (statement.startsWith("CREATE ")) kept.add(subject.replace(/^\w+ /, ""));
      continue;
    }
    if (!/^(CREATE|ALTER|GRANT|COMMENT|SECURITY)\b/.test(statement)) continue;
    await apply(client, place, statement, warnings, o);
  }
  const names = [...kept].filter((name) => !name.startsWith("pg_"));
  if (names.length > 0) {
    warnings.push(`These were there already and stay as they are: ${names.join(", ")}`);
  }
  return warnings;
}

async function apply(
  client: Client,
  place: string,
  statement: string,
  warnings: string[],
  o: Abortable,
): Promise<void> {
  try {
    await client.rows(place, statement, o);
  } catch (error) {
    o.signal.throwIfAborted();
    if (!(error instanceof Error) || sqlState(error) === undefined) throw error;
    const grantor = / GRANTED BY ("(?:[^"]|"")*"|[^\s;]+)$/;
    if (grantor.test(statement)) {
      // The grantor may have no such right here, or not be there.
      return await apply(client, place, statement.replace(grantor, ""), warnings, o);
    }
    const what = statement.replace(/ PASSWORD '[\s\S]*$/, "");
    if (/^CREATE TABLESPACE/.test(statement)) {
      warnings.push(`Cannot run ${what}: ${error.message}`);
      return;
    }
    throw new BackupError("restore/failed", `Cannot run ${what}: ${error.message}`, {
      cause: error,
      hint: "Restoring roles takes a superuser, or a role with CREATEROLE for ordinary ones.",
    });
  }
}

/** `ROLE app` of a statement that makes or changes a role or tablespace; none of a GRANT. */
function subjectOf(statement: string): string | undefined {
  const match = /^(?:CREATE|ALTER|COMMENT ON) (ROLE|TABLESPACE) /.exec(statement);
  if (match === null) return undefined;
  const [name] = tokensOf(statement.slice(match[0].length));
  return name === undefined ? undefined : `${match[1]} ${plainName(name.source)}`;
}
