import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { openHistory } from "../../src/jobs/shared/history.ts";
import { openStateDatabase } from "../../src/jobs/shared/state-database.ts";
import { tempDir } from "../support/workspace.ts";
import { contextOf } from "./support.ts";

const onDamaged = () => assert.fail("nothing is damaged");
const first = "CREATE TABLE one (x TEXT);";
const second = "ALTER TABLE one ADD COLUMN y TEXT; CREATE TABLE two (z TEXT);";

function versionOf(path: string): unknown {
  const database = new DatabaseSync(path);
  try {
    return database.prepare("PRAGMA user_version").get()?.["user_version"];
  } finally {
    database.close();
  }
}

describe("a database of the state folder", () => {
  test("is brought from any older version to the newest, and keeps what it holds", async () => {
    const path = join(tempDir("state"), "deep", "state.db");
    const old = await openStateDatabase(path, { pragmas: "", migrations: [first], onDamaged });
    old.use((db) => db.exec("INSERT INTO one VALUES ('kept')"));
    old.close();
    assert.equal(versionOf(path), 1);
    const migrations = [first, second];
    for (let again = 0; again < 2; again++) {
      const opened = await openStateDatabase(path, { pragmas: "", migrations, onDamaged });
      assert.deepEqual(opened.use((db) => ({ ...db.prepare("SELECT x, y FROM one").get() })), {
        x: "kept",
        y: null,
      });
      opened.close();
      assert.equal(versionOf(path), 2);
    }
  });

  test("is left as it was by a migration that fails", async () => {
    const path = join(tempDir("state"), "state.db");
    (await openStateDatabase(path, { pragmas: "", migrations: [first], onDamaged })).close();
    const migrations = [first, `${second} SELECT no_such_function();`];
    await assert.rejects(openStateDatabase(path, { pragmas: "", migrations, onDamaged }));
    assert.equal(versionOf(path), 1);
    const database = new DatabaseSync(path);
    assert.equal(
      database.prepare("SELECT name FROM sqlite_master WHERE name = 'two'").get(),
      undefined,
    );
    database.close();
  });

  test("is refused when a newer program made it", async () => {
    const path = join(tempDir("state"), "state.db");
    const migrations = [first, second];
    (await openStateDatabase(path, { pragmas: "", migrations, onDamaged })).close();
    await assert.rejects(
      openStateDatabase(path, { pragmas: "", migrations: [first], onDamaged }),
      { code: "config/newer-state", message: /is of version 2, and this dbbackup knows up to 1$/ },
    );
  });
});

describe("the record of runs", () => {
  test("goes on with a file that has no version yet", async () => {
    const o = contextOf();
    const path = join(o.stateDir, "state.db");
    mkdirSync(dirname(path), { recursive: true });
    const database = new DatabaseSync(path);
    database.exec(
      "CREATE TABLE writes (run TEXT NOT NULL, job TEXT NOT NULL, destination TEXT NOT NULL, " +
        "prefix TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (run, destination))",
    );
    database.exec("INSERT INTO writes VALUES ('r1', 'shop', 'a', 'shop/x/', '2026-11-23')");
    database.close();
    const history = await openHistory(o);
    assert.deepEqual(history.unfinished("shop", "a"), [
      { run: "r1", destination: "a", prefix: "shop/x/" },
    ]);
    history.close();
    assert.equal(versionOf(path), 1);
  });

  test("does without a file of a newer version, and leaves it alone", async () => {
    const o = contextOf();
    const path = join(o.stateDir, "state.db");
    mkdirSync(dirname(path), { recursive: true });
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 1000");
    database.close();
    const history = await openHistory(o);
    history.begin("r1", "shop", "a", "shop/x/", new Date());
    assert.deepEqual(history.unfinished("shop", "a"), []);
    history.close();
    assert.equal(versionOf(path), 1000);
  });
});
