import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { readColumns } from "../../../src/connectors/mysql/columns.ts";
import { editValues } from "../../../src/connectors/mysql/values.ts";

const table = `CREATE TABLE \`t\`\`V\` (
  \`id\` int(11) NOT NULL,
  \`g\` varchar(20) GENERATED ALWAYS AS (concat(\`b\`,')','\\\\','\\'')) STORED COMMENT 'x, \`y\` (',
  \`generated\` enum('GENERATED','(') DEFAULT 'GENERATED',
  \`d\` double DEFAULT (abs(-1)),
  PRIMARY KEY (\`id\`),
  KEY \`GENERATED\` (\`g\`,\`d\`)
) ENGINE=InnoDB PARTITION BY RANGE (\`id\`) (PARTITION \`p\` VALUES LESS THAN (7))`;

const dump = `${table};
INSERT INTO \`t\`\`V\` VALUES
(1,'a\\',(),\\\\','GENERATED',-0),
(2,NULL,'-0',-0.5),(-0,_binary '()',',-0,',1e-5);
REPLACE INTO \`t\`\`V\` (\`d\`, \`VALUES\`, \`g\`, \`id\`) VALUES (-0,-0,'x',4);
CREATE TABLE \`u\` (\`a\` double);
INSERT INTO \`u\` VALUES (-0);
INSERT INTO \`t\`\`V\` VALUES (1,'unknown by now','',-0);
-- Dump completed
`;

const edited = dump
  .replace(`(1,'a\\',(),\\\\','GENERATED',-0)`, "(1,DEFAULT,'GENERATED',-0e0)")
  .replace("(2,NULL,", "(2,DEFAULT,").replace("_binary '()'", "DEFAULT")
  .replace("(-0,-0,'x',4)", "(-0e0,-0,DEFAULT,4)")
  .replace("`u` VALUES (-0)", "`u` VALUES (-0e0)");

describe("values on their way", () => {
  test("are changed in the columns that are meant, wherever chunks are cut", async () => {
    const bytes = Buffer.from(dump);
    for (let size = 1; size <= bytes.length; size += size < 64 ? 1 : 37) {
      const out: Buffer[] = [];
      const changed = editValues(
        cut(bytes, size),
        ({ isGenerated, type }) =>
          isGenerated
            ? { to: "DEFAULT" }
            : type === "DOUBLE"
            ? { from: "-0", to: "-0e0" }
            : undefined,
      );
      for await (const chunk of changed) out.push(Buffer.from(chunk));
      assert.equal(Buffer.concat(out).toString(), edited, `in chunks of ${size}`);
    }
  });

  test("belong to columns, told from keys, defaults and comments", () => {
    assert.deepEqual(
      readColumns(table).map(({ name, type, isGenerated }) => [name, type, isGenerated]),
      [
        ["id", "INT", false],
        ["g", "VARCHAR", true],
        ["generated", "ENUM", false],
        ["d", "DOUBLE", false],
      ],
    );
  });
});

async function* cut(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) {
    yield await Promise.resolve(new Uint8Array(bytes.subarray(at, at + size)));
  }
}
