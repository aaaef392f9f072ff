import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqlite } from "../../../src/connectors/sqlite/mod.ts";
import { changesContract } from "../../contracts/changes.ts";
import { testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";

changesContract("SQLite", () =>
  Promise.resolve({
    kind: sqlite,
    runtime: testRuntime(),
    source() {
      const path = join(tempDir("sqlite-changes"), "app.db");
      run(path, "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)");
      return Promise.resolve({ path });
    },
    change({ path }) {
      run(path, "INSERT INTO orders (note) VALUES ('one more')");
      return Promise.resolve();
    },
    breakLog({ path }) {
      run(path, "PRAGMA page_size = 8192; VACUUM");
      return Promise.resolve();
    },
  }));

function run(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}
