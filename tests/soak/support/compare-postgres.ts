import assert from "node:assert/strict";
import path from "node:path";
import process from "node:process";
import { output } from "../../support/run.ts";
import type { PostgresServer } from "../../support/postgres.ts";

/** A difference between the dumps of a database and of its restored copy that says nothing. */
interface Respelling {
  readonly reason: string;
  /** What is written, and what takes its place on both sides. */
  readonly pattern: RegExp;
  readonly as: string;
}

/** What pg_dump itself writes otherwise after its own restore. */
export const respellings: readonly Respelling[] = [
  {
    reason: "A table of several parents has their columns first after a restore, in their order, " +
      "so that another one is the last of the list.",
    pattern: /,$/gm,
    as: "",
  },
];

/** Compares the definitions and, table by table, the rows of two databases. */
export async function assertSame(
  server: PostgresServer,
  source: string,
  copy: string,
  title: string,
): Promise<void> {
  const [expected, found] = await Promise.all(
    [source, copy].map((database) => definitions(server, database)),
  );
  assert.deepEqual(differing(found!, expected!), [], `${title}: missing`);
  assert.deepEqual(differing(expected!, found!), [], `${title}: extra`);
  assert.deepEqual(await digests(server, copy), await digests(server, source), `${title}: rows`);
}

/** The lines of `all` that `others` has not, or not as often. */
function differing(others: readonly string[], all: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const line of others) counts.set(line, (counts.get(line) ?? 0) + 1);
  return all.filter((line) => {
    const left = counts.get(line) ?? 0;
    counts.set(line, left - 1);
    return left <= 0;
  });
}

async function definitions(server: PostgresServer, database: string): Promise<string[]> {
  const text = await output(path.join(server.binDir, "pg_dump"), ["--schema-only"], {
    env: envOf(server, database),
    timeoutMs: 600_000,
  });
  const spelled = respellings.reduce(
    (all, { pattern, as }) => all.replaceAll(pattern, as),
    text,
  );
  return spelled.split("\n").filter((line) => !/^(--|\\(un)?restrict )|^$/.test(line));
}

/**
 * Of each table the rows and a digest of them, in no order. Not of materialized views: they are
 * filled anew, and may have been out of date.
 */
async function digests(server: PostgresServer, database: string): Promise<Record<string, string>> {
  // Columns by name: see the respellings.
  const rows = (await server.psql(
    database,
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.format(
       'SELECT count(*), pg_catalog.md5(pg_catalog.string_agg(d, %L ORDER BY d)) FROM (' ||
       'SELECT pg_catalog.md5(ROW(%s)::text) COLLATE "C" AS d FROM ONLY %I.%I t) x',
       '', (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attname)
              FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       n.nspname, c.relname)
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      ORDER BY 1`,
  )).split("\n").filter((one) => one !== "").map((line) => line.split("|", 2));
  const tables = rows.map(([table]) => table!);
  const answers = (await server.psql(
    database,
    `SET row_security = off; SET extra_float_digits = 3; ${
      rows.map(([, query]) => query).join(";\n")
    };`,
  )).split("\n");
  return Object.fromEntries(tables.map((table, at) => [table, answers[at] ?? "no answer"]));
}

function envOf(server: PostgresServer, database: string): Record<string, string | undefined> {
  return {
    ...process.env,
    ...{ PGHOST: server.socketDir, PGPORT: String(server.port), PGUSER: "postgres" },
    PGDATABASE: database,
  };
}
