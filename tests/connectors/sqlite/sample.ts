import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqlite } from "../../../src/connectors/sqlite/mod.ts";
import type { Connector } from "../../../src/contracts/connector.ts";
import { never, testRuntime } from "../../support/runtime.ts";

/** Every byte value once. */
export const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index);

/** Makes a database with everything in it that SQLite can have in a schema. */
export function makeSample(path: string, journalMode = "delete", rows = 500): void {
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = ${journalMode};
    CREATE TABLE plain (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, price REAL, raw BLOB);
    CREATE TABLE "we""ird ünï 'q' table" ("a b" TEXT, [from] INT);
    CREATE TABLE empty (x);
    CREATE TABLE strictly (id INT PRIMARY KEY, any_value ANY) STRICT;
    CREATE TABLE rowless (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID;
    CREATE TABLE generated (a INT, b INT GENERATED ALWAYS AS (a * 2) STORED, c AS (a + b) VIRTUAL);
    CREATE TABLE child (parent INT REFERENCES plain(id));
    CREATE VIRTUAL TABLE search USING fts5(title, body);
    CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
    CREATE UNIQUE INDEX plain_name ON plain (name COLLATE NOCASE) WHERE name IS NOT NULL;
    CREATE INDEX plain_expression ON plain (abs(price));
    CREATE VIEW cheap AS SELECT * FROM plain WHERE price < 10;
    CREATE TABLE log (what TEXT);
    CREATE TRIGGER on_insert AFTER INSERT ON rowless BEGIN INSERT INTO log VALUES (new.k); END;
  `);
  const insert = database.prepare("INSERT INTO plain (name, price, raw) VALUES (?, ?, ?)");
  database.exec("BEGIN");
  for (let row = 0; row < rows; row++) insert.run(`name ${row}`, row / 4, everyByte);
  insert.run(null, null, null);
  insert.run("Grüße 🎉 \u0000 end", 1e308, Buffer.alloc(20_000, 7));
  database.exec(`
    INSERT INTO "we""ird ünï 'q' table" VALUES ('x', 9223372036854775807);
    INSERT INTO strictly VALUES (1, 'text'), (2, x'00ff'), (3, 1.5);
    INSERT INTO rowless VALUES ('a', x'00'), ('b', x'');
    INSERT INTO generated (a) VALUES (1), (2), (3);
    INSERT INTO child VALUES (1), (2);
    INSERT INTO search VALUES ('hello', 'wide world'), ('other', 'text');
    INSERT INTO boxes VALUES (1, 0.5, 1.5);
    COMMIT;
  `);
  database.close();
}

/** The whole content of a database: its schema and every row of every table, in order. */
export function contentOf(path: string): Record<string, unknown> {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const schema = database.prepare(
      "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name",
    );
    const objects = schema.all() as { type: string; name: string; sql: string }[];
    const rows = objects.filter(({ type }) => type === "table" || type === "view").map((object) => {
      const select = database.prepare(`SELECT * FROM "${object.name.replaceAll('"', '""')}"`);
      select.setReadBigInts(true);
      return [object.name, select.all().map((row) => ({ ...row }))] as const;
    });
    return { schema: objects.map((object) => ({ ...object })), ...Object.fromEntries(rows) };
  } finally {
    database.close();
  }
}

/** Every file of a folder, with the digest of its bytes, its mode and when it was written. */
export function stateOf(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder).sort().map((name) => {
      const stats = statSync(join(folder, name), { bigint: true });
      const digest = createHash("sha256").update(readFileSync(join(folder, name))).digest("hex");
      return [
        name,
        `${digest.slice(0, 16)} ${stats.mode.toString(8)} ${stats.uid} ${stats.mtimeNs}`,
      ];
    }),
  );
}

/** A connector of a path. */
export async function connectorOf(path: string, busyTimeoutMs = 5_000): Promise<Connector> {
  return await sqlite.open({ path, busyTimeoutMs }, { runtime: testRuntime(), signal: never });
}
