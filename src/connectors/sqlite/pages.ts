import { counted } from "../../core/text.ts";
import { type Database, type Row, SqliteError } from "./database.ts";

/**
 * Walks the pages of every table and index, comparing no keys: what can be said of b-trees whose
 * collation or function is not here. A page that two of them claim, or that none does, is damage.
 *
 * @throws SqliteError on a page that cannot be read
 */
export async function pageProblems(database: Database): Promise<string[]> {
  const [walked] = await database.all(
    "SELECT count(*) AS claims, count(DISTINCT pageno) AS pages, max(pageno) AS last, " +
      "count(*) FILTER (WHERE pagetype NOT IN ('internal', 'leaf', 'overflow')) AS broken FROM dbstat",
  );
  const [file] = await database.all(
    "SELECT page_count, freelist_count, page_size, auto_vacuum FROM pragma_page_count, " +
      "pragma_freelist_count, pragma_page_size, pragma_auto_vacuum",
  );
  const claims = numberOf(walked, "claims");
  const pages = numberOf(walked, "pages");
  const total = numberOf(file, "page_count");
  const pageBytes = numberOf(file, "page_size");
  // https://www.sqlite.org/fileformat2.html#the_lock_byte_page
  const locks = total > Math.floor(2 ** 30 / pageBytes) ? 1 : 0;
  const free = numberOf(file, "freelist_count") + locks;
  const broken = numberOf(walked, "broken");
  const problems = await unevenIndexes(database);
  if (broken > 0) problems.push(`${counted(broken, "page")} cannot be read`);
  if (claims !== pages) problems.push(`${claims - pages} pages belong to two tables or indexes`);
  if (numberOf(walked, "last") > total) problems.push("a page lies behind the end of the file");
  // Only where pages can move is there a map of them, too, that no table has.
  const lost = total - pages - free;
  if (lost < 0 || (lost > 0 && numberOf(file, "auto_vacuum") === 0)) {
    problems.push(`${pages} pages are in use and ${free} are not, of ${total}`);
  }
  return problems;
}

/** An index has an entry for every row of its table, unless it leaves some out by a WHERE. */
async function unevenIndexes(database: Database): Promise<string[]> {
  const rows = await database.all(
    `WITH cells AS (
       SELECT d.name, sum(d.ncell) AS rows FROM dbstat AS d
         LEFT JOIN pragma_table_list AS t ON t.schema = 'main' AND t.name = d.name
        WHERE d.pagetype = 'leaf' OR (d.pagetype = 'internal' AND coalesce(t.wr, 1))
        GROUP BY d.name)
     SELECT i.name, ours.rows AS entries, theirs.rows FROM pragma_table_list AS t
       JOIN pragma_index_list(t.name) AS i
       JOIN cells AS ours ON ours.name = i.name JOIN cells AS theirs ON theirs.name = t.name
      WHERE t.schema = 'main' AND NOT i.partial AND ours.rows <> theirs.rows LIMIT 20`,
  );
  return rows.map(({ name, entries, rows }) =>
    `index ${name} has ${entries} entries for the ${rows} rows of its table`
  );
}

/** The rows of a table whose key cannot be compared here, from the cells on its pages. */
export async function countCells(table: string, database: Database): Promise<number> {
  // In a table with row ids only the leaves hold rows; without, every page of the tree does.
  const [row] = await database.all(
    `SELECT sum(d.ncell) AS n FROM dbstat AS d, pragma_table_list AS t
      WHERE d.name = '${table.replaceAll("'", "''")}' AND t.schema = 'main' AND t.name = d.name
        AND (d.pagetype = 'leaf' OR (d.pagetype = 'internal' AND t.wr))`,
  );
  return numberOf(row, "n");
}

/**
 * The pages of each table in bytes, without its indexes. It takes an eighth of the time of a check.
 * Nothing of what cannot be read: sizes are only told.
 */
export async function tableBytes(database: Database): Promise<ReadonlyMap<string, number>> {
  try {
    const rows = await database.all("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE");
    return new Map(rows.map((row) => [String(row["name"]), numberOf(row, "pgsize")]));
  } catch (error) {
    if (error instanceof SqliteError) return new Map();
    throw error;
  }
}

function numberOf(row: Row | undefined, column: string): number {
  return Number(row?.[column] ?? 0);
}
