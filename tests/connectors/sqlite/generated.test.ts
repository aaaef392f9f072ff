import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { quoted } from "../../../src/connectors/sqlite/inventory.ts";
import { sqlite } from "../../../src/connectors/sqlite/mod.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp, chainOf, restoreInto } from "./memoryBackup.ts";
import { connectorOf, contentOf } from "./sample.ts";

/** Numbers that are the same in every run: mulberry32. */
function numbersFrom(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const pieces = [
  ..."abcXYZ_09 \t\n\r'\"`[]();,.-%\\/?:@$#!&*<>=~^|{}",
  ...["ü", "ß", "İ", "中", "字", "🎉", "e\u0301", "\u202e", "\u00a0", "\u0001", "\u007f", "\ufeff"],
  ...[
    "select",
    "table",
    "--",
    "/*",
    "*/",
    "null",
    "sqlite",
    "main.",
    "temp.",
    "rowid",
    "%s",
    "${x}",
  ],
];

/** A name of 1 to 60 pieces, now and then of thousands, that no other object has. */
function namer(next: (below: number) => number): () => string {
  const taken = new Set<string>();
  return () => {
    for (;;) {
      const length = next(12) === 0 ? 3000 : 1 + next(next(3) === 0 ? 60 : 8);
      const name = Array.from({ length }, () => pieces[next(pieces.length)]).join("");
      // SQLite compares names without regard to the case of ASCII letters.
      const key = name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
      if (taken.has(key) || key.startsWith("sqlite_")) continue;
      taken.add(key);
      return name;
    }
  };
}

/** Makes a database of every kind of object under such names. @returns the rows of each table */
function makeGenerated(path: string, seed: number): Map<string, number> {
  const next = numbersFrom(seed);
  const name = namer(next);
  const pick = <T>(...all: readonly T[]): T => all[next(all.length)]!;
  const database = new DatabaseSync(path, { enableForeignKeyConstraints: false });
  database.exec(`PRAGMA encoding = '${pick("UTF-8", "UTF-16le", "UTF-16be")}';
    PRAGMA page_size = ${pick(512, 1024, 4096, 65_536)};
    PRAGMA auto_vacuum = ${pick("NONE", "FULL", "INCREMENTAL")};
    PRAGMA journal_mode = ${pick("DELETE", "WAL", "PERSIST", "TRUNCATE")};
    PRAGMA application_id = ${next(2 ** 31)}; PRAGMA user_version = -${next(1000)}`);
  const counts = new Map<string, number>();
  for (let number = next(9); number >= 0; number--) {
    const table = name();
    const [key, text, calculated] = [name(), name(), name()].map(quoted) as [
      string,
      string,
      string,
    ];
    const kind = pick("plain", "keyed", "rowless", "strict", "autoincrement");
    const column = {
      plain: `${key}`,
      keyed: `${key} INT PRIMARY KEY`,
      rowless: `${key} INT PRIMARY KEY`,
      strict: `${key} INT`,
      autoincrement: `${key} INTEGER PRIMARY KEY AUTOINCREMENT`,
    }[kind];
    const storage = pick("STORED", "VIRTUAL");
    database.exec(
      `CREATE TABLE ${quoted(table)} (${column}, ${text} TEXT DEFAULT 'x''y' COLLATE NOCASE,
         ${calculated} ANY GENERATED ALWAYS AS (${text} || ${key}) ${storage},
         FOREIGN KEY (${key}) REFERENCES ${quoted(table)} (${key}) DEFERRABLE)
         ${kind === "rowless" ? "WITHOUT ROWID" : kind === "strict" ? "STRICT" : ""}`,
    );
    const rows = next(200);
    database.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
       INSERT INTO ${quoted(table)} (${key}, ${text}) SELECT i, ? || i FROM n WHERE ${rows} > 0`,
    ).run(name());
    counts.set(table, rows);
    database.exec(
      `CREATE UNIQUE INDEX ${quoted(name())} ON ${quoted(table)} (${key} DESC);
       CREATE INDEX ${quoted(name())} ON ${quoted(table)} (upper(${text}))
         WHERE ${key} > ${next(100)};
       CREATE INDEX ${quoted(name())} ON ${quoted(table)} (${calculated}, ${text} COLLATE RTRIM);
       CREATE VIEW ${quoted(name())} AS SELECT ${calculated} AS "a""b" FROM ${quoted(table)};
       CREATE TRIGGER ${quoted(name())} AFTER UPDATE OF ${key} ON ${quoted(table)}
         BEGIN DELETE FROM ${quoted(table)} WHERE ${key} = new.${key}; END`,
    );
  }
  database.exec(`CREATE TABLE ${quoted(name())} (a, b); ANALYZE`);
  const words = name().replace(/[^a-z]/gi, "") || "w";
  // Modules take their names as words of their own, in tables that they name after it.
  database.exec(`CREATE VIRTUAL TABLE "${words} 5" USING fts5(a, b, prefix = '2 3');
    CREATE VIRTUAL TABLE "${words} 4" USING fts4(a, tokenize=porter);
    CREATE VIRTUAL TABLE "${words} r" USING rtree(id, x0, x1);
    INSERT INTO "${words} 5" VALUES ('one', 'two'); INSERT INTO "${words} 4" VALUES ('one');
    INSERT INTO "${words} r" VALUES (1, 2, 3)`);
  database.close();
  return counts;
}

describe("a generated SQLite schema", () => {
  for (let seed = 1; seed <= 24; seed++) {
    test(`of hostile and long names comes back whole: ${seed}`, async () => {
      const [source, target] = [join(tempDir(), "app.db"), join(tempDir(), "copy.db")];
      const counts = makeGenerated(source, seed);
      const backup = await backUp(sqlite, await connectorOf(source));
      assert.deepEqual(backup.result.warnings, []);
      const { objects } = backup.result.inventory.databases[0]!;
      for (const [table, rows] of counts) {
        const found = objects.find(({ type, name }) => type === "table" && name === table);
        assert.deepEqual([found?.count, found?.isExact], [rows, true], table);
      }
      const { result } = await restoreInto(await connectorOf(target), chainOf(sqlite, backup));
      assert.deepEqual([result.differences, result.warnings], [[], []]);
      assert.deepEqual(contentOf(target), contentOf(source));
      const again = await connectorOf(target);
      const overwritten = await restoreInto(again, chainOf(sqlite, backup), { isOverwrite: true });
      assert.deepEqual(overwritten.result.differences, []);
    });
  }
});
