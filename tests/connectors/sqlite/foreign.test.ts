import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { checkFile } from "../../../src/connectors/sqlite/check.ts";
import { sqlite } from "../../../src/connectors/sqlite/mod.ts";
import { sqliteFormat } from "../../../src/connectors/sqlite/walker.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import { hasCode } from "../../../src/core/errors.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp, chainOf, restoreInto } from "./memoryBackup.ts";
import { connectorOf } from "./sample.ts";

/** A database whose schema says what only its own program knows, as that program would write it. */
function makeForeign(path: string, sql: string, changes: readonly [string, string][] = []): void {
  const database = new DatabaseSync(path);
  database.function("secret", { deterministic: true }, (value) => Number(value) * 2);
  database.exec(sql);
  database.close();
  for (const [from, to] of changes) replaceBytes(path, from, to);
}

/** SQLite lets nobody write such a schema who has not what it names, so its bytes are changed. */
function replaceBytes(path: string, from: string, to: string): void {
  assert.equal(from.length, to.length);
  const text = readFileSync(path, "latin1");
  assert.ok(text.includes(from));
  writeFileSync(path, text.replaceAll(from, to), "latin1");
}

const numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)";

/** As Anki's: a collation of its own on tables, keys and indexes. */
const anki: [string, [string, string][]] = [
  `CREATE TABLE notes (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, sfld);
   CREATE INDEX by_name ON notes (name);
   CREATE TABLE tags (tag TEXT NOT NULL PRIMARY KEY COLLATE NOCASE, usn) WITHOUT ROWID;
   CREATE TABLE col (id INTEGER PRIMARY KEY, conf UNIQUE);
   INSERT INTO notes ${numbers} SELECT i, 'name ' || i, i FROM n;
   INSERT INTO tags ${numbers} SELECT 'tag ' || i, i FROM n;
   INSERT INTO col ${numbers} SELECT i, 'conf ' || i FROM n;`,
  [["COLLATE NOCASE", "COLLATE UNCASE"]],
];

const cases: [name: string, sql: string, changes: [string, string][], why: RegExp][] = [
  ["a collation", ...anki, /"notes", "tags" were not checked.*no such collation sequence: UNCASE/],
  [
    "functions in indexes, checks, generated columns, views and triggers",
    `CREATE TABLE t (a INT, b INT CHECK (secret(b) >= 0), c AS (secret(a)), d AS (secret(a)) STORED);
     CREATE INDEX by_secret ON t (secret(a));
     CREATE INDEX partly ON t (a) WHERE secret(a) > 9;
     CREATE VIEW v AS SELECT secret(a) FROM t;
     CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT secret(1); END;
     INSERT INTO t (a, b) ${numbers} SELECT i, i FROM n;`,
    [],
    /"t" were not checked.*unknown function: secret\(\)/,
  ],
  [
    "tokenizers of full-text tables",
    `CREATE VIRTUAL TABLE five USING fts5(body, tokenize = 'unicode61');
     CREATE VIRTUAL TABLE four USING fts4(body, tokenize=unicode61);
     INSERT INTO five ${numbers} SELECT 'hello ' || i FROM n;
     INSERT INTO four ${numbers} SELECT 'hello ' || i FROM n;`,
    [["'unicode61'", "'mecab_jp1'"], ["tokenize=unicode61", "tokenize=icu de_DE"]],
    /"five", "four" were not checked/,
  ],
  [
    "a module",
    `CREATE VIRTUAL TABLE words USING fts4(body); CREATE TABLE plain (a UNIQUE);
     INSERT INTO words VALUES ('hello'); INSERT INTO plain VALUES (1);`,
    [["USING fts4(body)", "USING spel(body)"]],
    /^$/,
  ],
];

describe("a SQLite database that needs its own program", () => {
  for (const [name, sql, changes, why] of cases) {
    test(`for ${name} is backed up, verified and restored, and what was not checked is said`, async () => {
      const [source, target] = [join(tempDir(), "app.db"), join(tempDir(), "copy.db")];
      makeForeign(source, sql, changes);
      const backup = await backUp(sqlite, await connectorOf(source));
      assert.match(backup.result.warnings.join(), why);
      const { bytes } = backup.artifacts[0]!;
      const o = { signal: never, runtime: testRuntime() };
      await sqliteFormat.nativeCheck!(bytesOf(bytes), o);
      const { result } = await restoreInto(await connectorOf(target), chainOf(sqlite, backup));
      assert.deepEqual(result.differences, []);
      assert.match(result.warnings.join(), why);
      assert.deepEqual(new Uint8Array(readFileSync(target)), bytes);
    });
  }

  test("has its rows counted all the same", async () => {
    const source = join(tempDir(), "app.db");
    makeForeign(source, ...anki);
    const { result } = await backUp(sqlite, await connectorOf(source));
    const counts = result.inventory.databases[0]!.objects.filter(({ type }) => type === "table")
      .map(({ name, count, isExact }) => [name, count, isExact]);
    assert.deepEqual(counts, [["col", 3000, true], ["notes", 3000, true], ["tags", 3000, true]]);
  });

  test("does not hide damage on any of its pages", async () => {
    const source = join(tempDir(), "app.db");
    makeForeign(source, ...anki);
    const bytes = readFileSync(source);
    const damages: [string, (page: Uint8Array) => void][] = [
      ["zeroed", (page) => page.fill(0)],
      ["overwritten at its start", (page) => page.fill(0xee, 0, 64)],
      ["another page's", (page) => page.set(bytes.subarray(4096, 8192))],
    ];
    const sound: string[] = [];
    for (let page = 1; page < bytes.byteLength / 4096; page++) {
      for (const [how, damage] of damages) {
        if (how === "another page's" && page === 1) continue;
        const copy = new Uint8Array(bytes);
        damage(copy.subarray(page * 4096, (page + 1) * 4096));
        const path = join(tempDir(), "damaged.db");
        writeFileSync(path, copy);
        const { problems } = await checkFile(path, true, { signal: never });
        if (problems.length === 0) sound.push(`page ${page + 1} ${how}`);
      }
    }
    assert.deepEqual(sound, []);
  });

  test("that is damaged is refused", async () => {
    const source = join(tempDir(), "app.db");
    makeForeign(source, ...anki);
    const bytes = readFileSync(source);
    bytes.fill(0, 4096 * 9, 4096 * 10);
    writeFileSync(source, bytes);
    await assert.rejects(
      backUp(sqlite, await connectorOf(source)),
      (error) => hasCode(error, "dump/damaged-source"),
    );
  });
});

describe("rows that break a rule", () => {
  test("of NOT NULL are told, and hold nothing back", async () => {
    const source = join(tempDir(), "app.db");
    const database = new DatabaseSync(source);
    database.exec(`CREATE TABLE t (a /*....*/); INSERT INTO t VALUES (NULL)`);
    database.close();
    replaceBytes(source, "/*....*/", "NOT NULL");
    const target = join(tempDir(), "copy.db");
    const backup = await backUp(sqlite, await connectorOf(source));
    assert.match(backup.result.warnings.join(), /NULL value in t\.a/);
    await restoreInto(await connectorOf(target), chainOf(sqlite, backup));
  });

  test("of a full-text index that does not fit its text are told, too", async () => {
    const source = join(tempDir(), "app.db");
    const database = new DatabaseSync(source);
    database.exec(`CREATE VIRTUAL TABLE f USING fts4(body); INSERT INTO f VALUES ('one two')`);
    database.close();
    replaceBytes(source, "one two", "one six");
    const { result } = await backUp(sqlite, await connectorOf(source));
    assert.match(result.warnings.join(), /malformed inverted index for FTS4 table main\.f/);
  });
});
