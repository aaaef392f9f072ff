import type { Abortable } from "../../core/bytes.ts";
import { counted, listed } from "../../core/text.ts";
import { type Database, openDatabase, sqliteCodes, SqliteError } from "./database.ts";
import { quoted } from "./inventory.ts";
import { pageProblems } from "./pages.ts";

/** What is wrong with a database, as SQLite finds it. */
export interface CheckResult {
  /** Broken pages, missing index entries; empty when it is sound. */
  readonly problems: readonly string[];
  /** Things that are no damage: rows that break a rule, checks that cannot be made here. */
  readonly warnings: readonly string[];
}

/**
 * Lets SQLite go over every page of a file that nobody else uses, and every row.
 *
 * @param isThorough compares indexes and foreign keys with their tables, too
 */
export async function checkFile(
  path: string,
  isThorough: boolean,
  o: Abortable,
): Promise<CheckResult> {
  let database: Database | undefined;
  try {
    database = await openDatabase(path, "ro", o);
    const { problems, warnings } = await checkIntegrity(database, isThorough);
    if (problems.length > 0 || !isThorough) return { problems, warnings };
    return { problems, warnings: [...warnings, ...await orphans(database)] };
  } catch (error) {
    // Damage can be so deep that the check itself ends.
    if (error instanceof SqliteError) return { problems: [error.message], warnings: [] };
    throw error;
  } finally {
    await database?.close();
  }
}

async function checkIntegrity(database: Database, isThorough: boolean): Promise<CheckResult> {
  const pragma = isThorough ? "integrity_check" : "quick_check";
  try {
    return sort(await findings(database, `${pragma}(100)`));
  } catch (error) {
    if (!isForeign(error)) throw error;
    return await checkApart(database);
  }
}

/**
 * The schema uses a collation, function, module or tokenizer that only its own program has, and
 * SQLite's whole check ends there. So each table is checked alone, and where that cannot be done its
 * pages are walked.
 */
async function checkApart(database: Database): Promise<CheckResult> {
  const texts = [...await pageProblems(database)];
  const unchecked: string[] = [];
  const reasons = new Set<string>();
  for (const name of ["sqlite_schema", ...await tables(database)]) {
    const reason = await attempt(database, name, "integrity_check", texts);
    if (reason === undefined) continue;
    reasons.add(reason);
    unchecked.push(name);
    // What it can see without the indexes.
    await attempt(database, name, "quick_check", texts);
  }
  const { problems, warnings } = sort([...new Set(texts)]);
  return { problems, warnings: [...warnings, uncheckedWarning(unchecked, [...reasons])] };
}

/** @returns why it cannot be checked, where it cannot */
async function attempt(
  database: Database,
  table: string,
  pragma: string,
  texts: string[],
): Promise<string | undefined> {
  try {
    texts.push(...await findings(database, `${pragma}(${quoted(table)})`));
    return undefined;
  } catch (error) {
    if (isForeign(error)) return error.message;
    throw error;
  }
}

function uncheckedWarning(names: readonly string[], reasons: readonly string[]): string {
  const whose = names.length === 0 ? "some tables" : listed(names.map((name) => `"${name}"`), 5);
  return `Everything is copied, but rows and indexes of ${whose} were not checked, only their ` +
    `pages: ${reasons.slice(0, 3).join("; ")}. Only the database's own program has that`;
}

async function tables(database: Database): Promise<string[]> {
  const rows = await database.all(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_schema' ORDER BY 1",
  );
  return rows.map((row) => String(row["name"]));
}

async function findings(database: Database, pragma: string): Promise<string[]> {
  const rows = await database.all(`PRAGMA ${pragma}`);
  return rows.map((row) => String(Object.values(row)[0])).filter((text) => text !== "ok");
}

/**
 * Rows that break a rule of their table, and an index that a module keeps in tables of its own, are
 * what the program wrote: the file itself is whole, and holding it back would help nobody.
 */
const ruleTexts = [
  /^NULL value in /,
  /^NUMERIC value in /,
  /^TEXT value in /,
  /^non-\w+ value in /,
  /^(?:malformed|unable to validate the) inverted index for FTS\d/,
  /^In RTree /,
];

function sort(texts: readonly string[]): CheckResult {
  const isRule = (text: string) => ruleTexts.some((rule) => rule.test(text));
  const rules = texts.filter(isRule);
  const more = rules.length > 5 ? `, and ${rules.length - 5} more` : "";
  return {
    problems: texts.filter((text) => !isRule(text)).slice(0, 20),
    warnings: rules.length === 0
      ? []
      : [`SQLite finds rows or entries that break a rule: ${rules.slice(0, 5).join("; ")}${more}`],
  };
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

/** True for what SQLite says when it cannot run a check; what it says of damage has other codes. */
function isForeign(error: unknown): error is SqliteError {
  return error instanceof SqliteError && error.code === sqliteCodes.error;
}
