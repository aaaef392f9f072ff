import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { contentOf } from "./sample.ts";
import { type Program, startProgram } from "./program.ts";

/**
 * A database of which the n-th transaction is always the same, so that what it has to hold after n of
 * them can be made again.
 */
export function makeNumbered(path: string, journalMode: "wal" | "delete"): void {
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = ${journalMode};
    CREATE TABLE done (n INTEGER);
    INSERT INTO done VALUES (0);
    CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, content BLOB);
    CREATE INDEX items_name ON items (name);
  `);
  database.close();
}

/** Makes the n-th change: rows that come, change and go, tables, what is rolled back. */
export function change(database: DatabaseSync, n: number): void {
  // A number of its own for each n, the same everywhere.
  const odd = (n * 2654435761) % 4294967296;
  database.exec("BEGIN IMMEDIATE");
  database.prepare("INSERT INTO items VALUES (?, ?, zeroblob(?))")
    .run(n, `item ${odd.toString(36)}`, odd % 9000);
  database.prepare("UPDATE items SET name = name || ? WHERE id = ?").run(` at ${n}`, odd % n);
  if (n % 3 === 0) database.prepare("DELETE FROM items WHERE id = ?").run(odd % n);
  if (n % 40 === 0) database.exec(`CREATE TABLE t${n} AS SELECT id, name FROM items LIMIT 50`);
  if (n % 40 === 20 && n > 60) database.exec(`DROP TABLE t${n - 20 - 40}`);
  if (n % 200 === 0) database.exec("DELETE FROM items WHERE id % 2 = 0");
  database.prepare("UPDATE done SET n = ?").run(n);
  database.exec("COMMIT");
  if (n % 7 !== 0) return;
  database.exec("BEGIN IMMEDIATE; DELETE FROM items; UPDATE done SET n = -1; ROLLBACK");
}

/** Starts a program that changes it all the time. */
export async function startWriter(path: string): Promise<Program> {
  const url = fileURLToPath(import.meta.url);
  return await startProgram(
    path,
    `
database.exec("PRAGMA busy_timeout = 60000");
import(${JSON.stringify(url)}).then(({ change }) => {
  let { n } = database.prepare("SELECT n FROM done").get();
  const next = () => { change(database, ++n); setTimeout(next, 2); };
  next();
  ready();
});`,
  );
}

/** How many changes a database has, with all that it holds. */
export function stateOf(path: string): { readonly n: number; readonly content: unknown } {
  const content = contentOf(path);
  const [row] = content["done"] as { n: bigint }[];
  return { n: Number(row!.n), content };
}

/** What a database holds after n changes: of several n, in ascending order, each is made from the last. */
export function modelAt(path: string): (n: number) => unknown {
  rmSync(path, { force: true });
  makeNumbered(path, "delete");
  let made = 0;
  return (n) => {
    const database = new DatabaseSync(path);
    database.exec("PRAGMA synchronous = OFF");
    while (made < n) change(database, ++made);
    database.close();
    return contentOf(path);
  };
}
