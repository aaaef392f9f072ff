import type { Abortable } from "../../core/bytes.ts";
import { counted } from "../../core/text.ts";
import { type Database, openDatabase, SqliteError } from "./database.ts";

/** What is wrong with a database, as SQLite finds it. */
export interface CheckResult {
  /** Broken pages, missing index entries; empty when it is sound. */
  readonly problems: readonly string[];
  /** Things that are no damage: rows whose parent is missing, checks that cannot be made here. */
  readonly warnings: readonly string[];
}

/** Lets SQLite go over every page, index and constraint of a file that nobody else uses. */
export async function checkFile(path: string, o: Abortable): Promise<CheckResult> {
  const database = await openDatabase(path, "ro", o);
  try {
    const { problems, warnings } = await checkIntegrity(database);
    if (problems.length > 0) return { problems, warnings };
    return { problems, warnings: [...warnings, ...await orphans(database)] };
  } catch (error) {
    // Damage can be so deep that the check itself ends.
    if (error instanceof SqliteError) return { problems: [error.message], warnings: [] };
    throw error;
  } finally {
    await database.close();
  }
}

async function checkIntegrity(database: Database): Promise<CheckResult> {
  try {
    return { problems: await findings(database, "integrity_check"), warnings: [] };
  } catch (error) {
    if (!(error instanceof SqliteError) || !isForeign(error)) throw error;
    // The schema uses a function, collation or module that only its own program registers.
    const warning = `Indexes were not checked against their tables: ${error.message}`;
    return { problems: await findings(database, "quick_check"), warnings: [warning] };
  }
}

async function findings(database: Database, pragma: string): Promise<string[]> {
  const rows = await database.all(`PRAGMA ${pragma}(20)`);
  return rows.map((row) => String(Object.values(row)[0])).filter((text) => text !== "ok");
}

async function orphans(database: Database): Promise<string[]> {
  try {
    const rows = await database.all(
      'SELECT "table" AS name, count(*) AS n FROM pragma_foreign_key_check GROUP BY 1',
    );
    return rows.map(({ name, n }) =>
      `Table "${name}" has ${counted(Number(n), "row")} whose parent row is missing`
    );
  } catch (error) {
    // "foreign key mismatch": a declaration that SQLite accepts and cannot check.
    if (error instanceof SqliteError) return [`Foreign keys were not checked: ${error.message}`];
    throw error;
  }
}

function isForeign(error: SqliteError): boolean {
  return /no such (collation sequence|function|module)|unknown function/i.test(error.message);
}
