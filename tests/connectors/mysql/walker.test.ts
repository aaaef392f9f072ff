import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BackupError } from "../../../src/core/errors.ts";
import { type Bytes, collect } from "../../../src/core/bytes.ts";
import { rewriteDump, type Rewriting } from "../../../src/connectors/mysql/rewrite.ts";
import { walk } from "../../../src/connectors/mysql/walker.ts";
import { withoutSizes } from "../../support/sizes.ts";
import { type DumpDatabase, dumpedDatabases, dumpText } from "./dump-text.ts";

/** Cuts bytes at these places, anywhere in one buffer that is overwritten, as producers do. */
function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  const buffer = new Uint8Array(Math.max(...sizes) + 4);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const part = bytes.subarray(at, at + sizes[turn % sizes.length]!);
    const offset = turn % 5;
    buffer.fill(0x27);
    buffer.set(part, offset);
    yield buffer.subarray(offset, offset + part.length);
    at += part.length;
  }
}

async function* streamed(bytes: Uint8Array, sizes: readonly number[]): Bytes {
  yield* cut(bytes, sizes);
}

function contentsOf(bytes: Uint8Array, sizes: readonly number[] = [65_536]) {
  const walker = walk();
  for (const chunk of cut(bytes, sizes)) walker.push(chunk);
  return withoutSizes(walker.end().databases);
}

function expectedOf(databases: readonly DumpDatabase[]) {
  return databases.map(({ name, tables, routines }) => ({
    database: name,
    objects: [
      ...tables.map(({ name, inserts }) => ({
        type: "table",
        name,
        count: inserts.reduce((sum, rows) => sum + rows.length, 0),
        isExact: true,
      })),
      ...routines.map(({ name }) => ({ type: "routine", name, owner: "o@h" })),
    ],
  }));
}

const isRefused = (error: unknown) =>
  error instanceof BackupError &&
  ["verification/truncated", "verification/structure"].includes(error.code);

const everything: Rewriting = {
  rename: (database) => database,
  keeps: () => true,
  keepsRows: () => true,
  keepsServerLines: true,
};

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

describe("mysql walker", () => {
  test("counts the rows of any dump, wherever its chunks are cut", () => {
    fc.assert(
      fc.property(dumpedDatabases, fc.boolean(), sizes, (databases, isMariadb, sizes) => {
        const bytes = Buffer.from(dumpText(databases, isMariadb));
        assert.deepEqual(contentsOf(bytes, sizes), expectedOf(databases));
      }),
      { numRuns: 300 },
    );
  });

  test("sees that a dump was cut short, wherever", () => {
    fc.assert(
      fc.property(dumpedDatabases, fc.boolean(), fc.nat(), (databases, isMariadb, place) => {
        const bytes = Buffer.from(dumpText(databases, isMariadb));
        const cutBytes = bytes.subarray(0, place % bytes.length);
        assert.throws(() => contentsOf(cutBytes), isRefused);
      }),
      { numRuns: 300 },
    );
  });

  test("refuses what follows the last line, and what is no dump", () => {
    const whole = dumpText([], false);
    assert.throws(() => contentsOf(Buffer.from(`${whole}SELECT 1;\n`)), isRefused);
    assert.throws(() => contentsOf(Buffer.from(whole + whole)), isRefused);
    assert.throws(() => contentsOf(Buffer.from("SELECT 1;\n")), isRefused);
    assert.throws(() => contentsOf(new Uint8Array()), isRefused);
  });

  test("counts rows whose texts are long, with quotes, escapes and marks anywhere in them", () => {
    const plain = fc.integer({ min: 0, max: 200 }).map((length) => "a".repeat(length));
    const special = fc.constantFrom("\\'", "''", "\\\\", "\\n", "),(", ";", "\\\\\\'", "\n", "(");
    const text = fc.array(fc.tuple(plain, special), { maxLength: 6 }).map((parts) =>
      parts.flat().join("")
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 5 });
    const whole = dumpText([{ name: "d", tables: [], routines: [] }], false);
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 8 }), cuts, (texts, sizes) => {
        const rows = texts.map((text, index) => `(${index},'${text}',0xABCD)`).join(",\n");
        const insert = `INSERT INTO \`t\` VALUES ${rows};`;
        const bytes = Buffer.from(whole.replace("USE `d`;", () => `USE \`d\`;\n${insert}`));
        const [database] = contentsOf(bytes, sizes);
        assert.deepEqual(database!.objects, [
          { type: "table", name: "t", count: texts.length, isExact: true },
        ]);
      }),
      { numRuns: 500 },
    );
  });

  test("reads a routine made under NO_BACKSLASH_ESCAPES as the client does", () => {
    const whole = dumpText([{ name: "d", tables: [], routines: [] }], false);
    const routine = [
      "/*!50003 SET sql_mode              = 'NO_BACKSLASH_ESCAPES' */ ;",
      "DELIMITER ;;",
      "CREATE DEFINER=`o`@`h` FUNCTION `f`() RETURNS text RETURN '\\' ;;",
      "DELIMITER ;",
      "/*!50003 SET sql_mode              = @saved_sql_mode */ ;",
      "INSERT INTO `t` VALUES ('\\'),('),(1,'x');",
    ].join("\n");
    const bytes = Buffer.from(whole.replace("USE `d`;", `USE \`d\`;\n${routine}`));
    const [database] = contentsOf(bytes);
    assert.deepEqual(database!.objects, [
      { type: "routine", name: "f", owner: "o@h" },
      { type: "table", name: "t", count: 2, isExact: true },
    ]);
  });
});

describe("mysql dump rewriting", () => {
  const rewritten = async (text: string, sizes: readonly number[], rules: Rewriting) =>
    Buffer.from(await collect(rewriteDump(streamed(Buffer.from(text), sizes), rules))).toString();

  test("leaves every byte as it is when everything passes", async () => {
    await fc.assert(
      fc.asyncProperty(
        dumpedDatabases,
        fc.boolean(),
        sizes,
        async (databases, isMariadb, sizes) => {
          const text = dumpText(databases, isMariadb);
          assert.equal(await rewritten(text, sizes, everything), text);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("takes one database out of many, under another name", async () => {
    await fc.assert(
      fc.asyncProperty(
        dumpedDatabases,
        fc.boolean(),
        sizes,
        async (databases, isMariadb, sizes) => {
          const [chosen] = databases.slice(-1);
          if (chosen === undefined) return;
          const renamed = { ...chosen, name: "an `odd` name" };
          const rules = {
            ...everything,
            keepsServerLines: false,
            rename: (name: string) => name === chosen.name ? renamed.name : undefined,
          };
          const result = await rewritten(dumpText(databases, isMariadb), sizes, rules);
          assert.deepEqual(contentsOf(Buffer.from(result)), expectedOf([renamed]));
          assert.ok(!result.includes("999999"));
          const alone = dumpText([renamed], isMariadb).split("\n").filter((line) =>
            !isComment(line)
          );
          const lines = result.split("\n").filter((line) => !isComment(line));
          assert.equal(compact(lines), compact(alone));
        },
      ),
      { numRuns: 150 },
    );
  });

  test("leaves out tables, and rows of tables", async () => {
    const databases = [{
      name: "d",
      tables: ["a", "b"].map((name) => ({ name, inserts: [[["1"], ["2"]], [["3"]]] })),
      routines: [],
    }];
    const text = dumpText(databases, true);
    const without = await rewritten(text, [7], { ...everything, keeps: (_, __, n) => n === "b" });
    assert.deepEqual(contentsOf(Buffer.from(without)), [
      { database: "d", objects: [{ type: "table", name: "b", count: 3, isExact: true }] },
    ]);
    assert.ok(!without.includes("`a` WRITE"));
    const emptied = await rewritten(text, [7], { ...everything, keepsRows: (_, n) => n === "b" });
    const counts = contentsOf(Buffer.from(emptied))[0]!.objects.map(({ count }) => count);
    assert.deepEqual(counts, [0, 3]);
    const walker = walk();
    walker.push(Buffer.from(text));
    const inserts = text.match(/^INSERT INTO `b` [^;]*;/gm)!.join("").length;
    const [a, b] = walker.end().databases[0]!.objects.map(({ bytes }) => bytes);
    assert.deepEqual([a, b], [inserts, inserts]);
  });

  test("passes a big statement on without waiting for its end", async () => {
    const big = `INSERT INTO \`t\` VALUES ('${"x".repeat(1_000_000)}');`;
    const text = dumpText([], false).replace("\n\n", `\nUSE \`d\`;\n${big}\n`);
    let longest = 0;
    for await (const chunk of rewriteDump(streamed(Buffer.from(text), [1_000]), everything)) {
      longest = Math.max(longest, chunk.length);
    }
    assert.ok(longest <= 1_000, `a chunk of ${longest} bytes`);
  });

  test("names a trigger's database anew", async () => {
    const trigger = "/*!50003 CREATE*/ /*!50017 DEFINER=`o`@`h`*/ /*!50003 TRIGGER d.t1 " +
      "BEFORE INSERT ON `d`.`t` FOR EACH ROW SET NEW.a = 1 */;";
    const text = dumpText([{ name: "d", tables: [], routines: [] }], false)
      .replace("USE `d`;", `USE \`d\`;\n${trigger}`);
    const result = await rewritten(text, [3], { ...everything, rename: () => "e" });
    assert.ok(result.includes("TRIGGER `e`.t1 BEFORE INSERT ON `e`.`t` FOR"), result);
  });
});

function isComment(line: string): boolean {
  return /^(--|$|\/\*M!999999)/.test(line);
}

function compact(lines: readonly string[]): string {
  return lines.join("\n").replaceAll(/\s+/g, " ");
}
