import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqlite } from "../../../src/connectors/sqlite/mod.ts";
import { connectorContract } from "../../contracts/connector.ts";
import { makeSqlite } from "../../e2e/support/sqlite.ts";
import { testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";

connectorContract("SQLite", () => {
  const folder = tempDir("sqlite-contract");
  const source = join(folder, "source.db");
  makeSqlite(source, 1);
  let made = 0;
  return Promise.resolve({
    kind: sqlite,
    runtime: testRuntime(),
    source: () => Promise.resolve({ path: source }),
    empty: () => Promise.resolve({ path: join(folder, `empty-${++made}.db`) }),
    filled() {
      const path = join(folder, `filled-${++made}.db`);
      const database = new DatabaseSync(path);
      database.exec("CREATE TABLE precious (id INTEGER); INSERT INTO precious VALUES (1), (2)");
      database.close();
      return Promise.resolve({ path });
    },
    badUrl: "sqlite:",
  });
});
