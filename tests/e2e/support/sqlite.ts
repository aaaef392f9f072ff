import { DatabaseSync } from "node:sqlite";

/** Makes a SQLite database of some tables and about `megabytes` of rows that do not compress. */
export function makeSqlite(path: string, megabytes = 1): void {
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = WAL;
    CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, noise BLOB);
    CREATE INDEX orders_by_customer ON orders (customer);
    CREATE VIEW big_orders AS SELECT id FROM orders WHERE id > 10;
  `);
  database.prepare(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO orders SELECT i, 'customer ' || (i % 100), randomblob(4000) FROM n`,
  ).run(megabytes * 250);
  database.close();
}

/** A digest of everything in the `orders` table. */
export function ordersOf(path: string): string {
  const database = new DatabaseSync(path, { readOnly: true });
  const rows = database.prepare(
    "SELECT count(*) AS n, sum(id) AS ids, group_concat(substr(hex(noise), 1, 16)) AS noise FROM orders",
  ).get();
  database.close();
  return JSON.stringify(rows);
}
