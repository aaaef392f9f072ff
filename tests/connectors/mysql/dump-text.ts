import { Buffer } from "node:buffer";
import fc from "fast-check";

/** A table of a made-up dump. */
export interface DumpTable {
  readonly name: string;
  /** INSERT statements, each with its rows' values as SQL. */
  readonly inserts: readonly (readonly string[][])[];
}

/** A database of a made-up dump. */
export interface DumpDatabase {
  readonly name: string;
  readonly tables: readonly DumpTable[];
  readonly routines: readonly { readonly name: string; readonly body: string }[];
}

const name = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" })
  .map((text) => text.replaceAll("\0", "0"));

// Much of what could be mistaken for structure.
const tricky = fc.constantFrom(
  ...["'", "\\", "),(", ");", ";\n", "--", "-- x", "/*", "*/", "/*!50000", "#", "`", '"', "("],
  ...[")", ",", "INSERT INTO `t` VALUES (1);", "DELIMITER ;;", "\n", "\r", "\0", "ü", "😀", "a"],
);
const plain = fc.array(fc.oneof(tricky, fc.string({ maxLength: 5 })), { maxLength: 8 })
  .map((parts) => parts.join(""));

/** As mysql_real_escape_string does it; `'` either way. */
function escaped(text: string, isDoubled: boolean): string {
  const body = text.replaceAll("\\", "\\\\").replaceAll("\0", "\\0").replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r").replaceAll('"', '\\"').replaceAll("'", isDoubled ? "''" : "\\'");
  return `'${body}'`;
}

const value = fc.oneof(
  fc.tuple(plain, fc.boolean()).map(([text, isDoubled]) => escaped(text, isDoubled)),
  plain.map((text) => `_binary ${escaped(text, false)}`),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.uint8Array({ maxLength: 12 }).map((bytes) =>
    bytes.length === 0 ? "''" : `0x${Buffer.from(bytes).toString("hex").toUpperCase()}`
  ),
  fc.constantFrom("NULL", "b'1010'", "-1.5e-10"),
);

const table = fc.record({
  name,
  inserts: fc.array(
    fc.array(fc.array(value, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }),
    { maxLength: 3 },
  ),
});

// Bodies of routines hold any balanced text; quotes and comments in it are closed.
const body = fc.array(
  fc.oneof(
    plain.map((text) => escaped(text, true)),
    fc.constantFrom("SELECT 1;", "-- it's; a comment\n", "# one ' more;\n", "/* ; ' */", "x - -1;"),
    fc.constantFrom("IF a THEN b; END IF;", "`odd;name`", "INSERT INTO t VALUES (1);"),
  ),
  { maxLength: 6 },
).map((parts) => `BEGIN ${parts.join(" ")} END`);

/** Databases with tables, rows and routines. */
export const dumpedDatabases: fc.Arbitrary<DumpDatabase[]> = fc.uniqueArray(
  fc.record({
    name,
    tables: fc.uniqueArray(table, { maxLength: 3, selector: ({ name }) => name }),
    routines: fc.uniqueArray(fc.record({ name, body }), {
      maxLength: 2,
      selector: ({ name }) => name,
    }),
  }),
  { maxLength: 3, selector: ({ name }) => name },
);

/** The dump of these, as the tools lay it out. */
export function dumpText(databases: readonly DumpDatabase[], isMariadb: boolean): string {
  return [
    ...isMariadb ? ["/*M!999999\\- enable the sandbox mode */ "] : [],
    isMariadb
      ? "-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)"
      : "-- MySQL dump 10.13  Distrib 9.7.4, for Linux (x86_64)",
    "--",
    "",
    "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;",
    ...databases.flatMap((database) => databaseText(database, isMariadb)),
    "/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;",
    "",
    "-- Dump completed on 2026-11-25  8:20:25",
    "",
  ].join("\n");
}

/** The part of a dump about one database. */
function databaseText({ name, tables, routines }: DumpDatabase, isMariadb: boolean): string[] {
  const separator = isMariadb ? ",\n" : ",";
  return [
    "",
    "--",
    `-- Current Database: ${quoted(name).replaceAll("\n", " ")}`,
    "--",
    "",
    `CREATE DATABASE /*!32312 IF NOT EXISTS*/ ${
      quoted(name)
    } /*!40100 DEFAULT CHARACTER SET utf8mb4 */;`,
    "",
    `USE ${quoted(name)};`,
    ...tables.flatMap((table) => [
      `DROP TABLE IF EXISTS ${quoted(table.name)};`,
      `CREATE TABLE ${quoted(table.name)} (\n  \`a\` int DEFAULT NULL COMMENT 'it''s; \\'x'\n);`,
      `LOCK TABLES ${quoted(table.name)} WRITE;`,
      ...table.inserts.map((rows) =>
        `INSERT INTO ${quoted(table.name)} VALUES${isMariadb ? "\n" : " "}` +
        `${rows.map((row) => `(${row.join(",")})`).join(separator)};`
      ),
      "UNLOCK TABLES;",
    ]),
    ...routines.flatMap((routine) => [
      "DELIMITER ;;",
      `CREATE DEFINER=\`o\`@\`h\` PROCEDURE ${quoted(routine.name)}()\n${routine.body} ;;`,
      "DELIMITER ;",
    ]),
  ];
}

function quoted(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}
