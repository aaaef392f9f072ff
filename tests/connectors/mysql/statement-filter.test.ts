import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createStatementFilter } from "../../../src/connectors/mysql/binlog/statement-filter.ts";

/** As a log has it: each byte a character. */
const logged = (text: string) => Buffer.from(text).toString("latin1");

function restoring(from: string, to: string) {
  const rename = (name: string) => name === from ? to : undefined;
  return createStatementFilter({ rename }, new Map());
}

describe("a statement of the log, for a database under another name", () => {
  for (const database of ["*shop", "café", "shop.old"]) {
    test(`is told of where its text names "${database}", and not where its name alone does`, () => {
      const filter = restoring(database, "copy");
      const take = (sql: string) =>
        filter.take({ database, sql: logged(sql) }, "binlog.000001:4")!.sql;
      assert.equal(
        take(`CREATE PROCEDURE \`${database}\`.p() DELETE FROM \`${database}\`.t`),
        logged(`CREATE PROCEDURE \`copy\`.p() DELETE FROM \`${database}\`.t`),
      );
      take(`CREATE PROCEDURE \`${database}\`.q() DELETE FROM t`);
      const [warning, ...others] = filter.warnings();
      assert.match(warning!, /: "copy\.p", which names /);
      assert.doesNotMatch(warning!, /copy\.q/);
      assert.deepEqual(others, []);
    });
  }

  test("keeps the letters of who becomes an event's definer", () => {
    const taken = restoring("shop", "kopie-ü").take({
      database: "shop",
      sql: logged("CREATE EVENT shop.e ON SCHEDULE EVERY 1 DAY DO SET @a = 'ä'"),
      invoker: { user: "jürgen", host: "%" },
    }, "binlog.000001:4");
    assert.equal(
      taken!.sql,
      logged(
        "CREATE DEFINER = 'jürgen'@'%' EVENT `kopie-ü`.e ON SCHEDULE EVERY 1 DAY DISABLE DO SET @a = 'ä'",
      ),
    );
  });
});
