import assert from "node:assert/strict";
import { test } from "node:test";
import { createFloatReader } from "../../../src/connectors/mysql/floats.ts";

const tables = [
  { database: "d", name: "t`x", columns: ["id", "f", "a`b"], floats: ["f", "a`b"] },
  { database: "other", name: "plain", columns: ["f"], floats: ["f"] },
];
const hint = "SELECT /*!40001 SQL_NO_CACHE */ ";

/** What a tool's statement becomes in database `d`. */
function rewritten(sql: string, flavour: "MySQL" | "MariaDB" = "MySQL", version = "5.7.44") {
  const reader = createFloatReader(tables, { flavour, version });
  return { sql: reader.rewrite({ database: "d", sql }), missed: reader.missed(tables) };
}

test("FLOAT columns are asked for as DOUBLE in every form in which the tools ask for rows", () => {
  const exact = "`id`, `f` * 1e0, `a``b` * 1e0 FROM `t``x`";
  const forms = [
    [`${hint}* FROM \`t\`\`x\``, hint + exact],
    [`${hint}* FROM \`t\`\`x\` ORDER BY \`id\``, `${hint}${exact} ORDER BY \`id\``],
    [
      `${hint}\`a\`\`b\`, \`f\`, row_start FROM \`t\`\`x\` FOR SYSTEM_TIME ALL WHERE id > 1`,
      `${hint}\`a\`\`b\` * 1e0, \`f\` * 1e0, row_start FROM \`t\`\`x\` FOR SYSTEM_TIME ALL WHERE id > 1`,
    ],
    [
      "SELECT /*!40001 SQL_NO_CACHE */ /*!50084 SQL_NO_FCACHE */ `f`,`id` FROM `t``x`",
      "SELECT /*!40001 SQL_NO_CACHE */ /*!50084 SQL_NO_FCACHE */ `f` * 1e0, `id` FROM `t``x`",
    ],
  ] as const;
  for (const [sql, expected] of forms) assert.equal(rewritten(sql).sql, expected);
});

test("what no 6 digits tell is asked for with all of its digits, the rest stays short", () => {
  for (const [flavour, version] of [["MySQL", "8.0.17"], ["MariaDB", "10.4.5"]] as const) {
    assert.equal(
      rewritten(`${hint}\`f\` FROM \`t\`\`x\``, flavour, version).sql,
      `${hint}IF(CAST(CAST(\`f\` AS CHAR) AS FLOAT) = \`f\`, CAST(\`f\` AS CHAR) * 1e0, \`f\` * 1e0) ` +
        "FROM `t``x`",
    );
  }
  assert.match(rewritten(`${hint}\`f\` FROM \`t\`\`x\``, "MySQL", "8.0.16").sql, /`f` \* 1e0 FROM/);
});

test("nothing else of what the tools say is changed, and what was not asked for is known", () => {
  const others = [
    "SHOW CREATE TABLE `t``x`",
    `${hint}* FROM \`plain\``,
    "SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 't`x'",
    "SELECT @@GLOBAL.GTID_EXECUTED",
  ];
  for (const sql of others) assert.equal(rewritten(sql).sql, sql);
  assert.deepEqual(rewritten(`${hint}\`id\`, \`f\` FROM \`t\`\`x\``).missed, [
    { database: "d", name: "t`x", column: "a`b" },
    { database: "other", name: "plain", column: "f" },
  ]);
});
