import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import path from "node:path";
import { test } from "node:test";
import { archiveFormat } from "../../../src/connectors/postgres/archive/format.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { needs } from "../../support/needs.ts";
import { postgres, type PostgresServer } from "../../support/postgres.ts";
import { run } from "../../support/run.ts";
import { dumpOf, optionsOf } from "./opened.ts";
import { putTogether, type RawArchive, type RawEntry, takeApart } from "./rawArchive.ts";

type Change = (archive: RawArchive) => void;

/** Changes one entry. */
const entry =
  (description: string, change: (entry: RawEntry) => void, tag?: string): Change => (archive) =>
    change(find(archive, description, tag));

function find({ entries }: RawArchive, description: string, tag?: string): RawEntry {
  const found = entries.find((one) =>
    `${one.description}` === description && (tag === undefined || `${one.tag}` === tag)
  );
  assert.ok(found !== undefined, `${description} ${tag}`);
  return found;
}

const twice = (description: string): Change => (archive) => {
  archive.entries.push({ ...find(archive, description) });
};
const table = (change: (entry: RawEntry) => void) => entry("TABLE", change, "a");
const rows = (change: (entry: RawEntry) => void) => entry("TABLE DATA", change, "a");

/** What pg_restore takes, so that nobody may be kept from it; all rows are there afterwards. */
const taken: Record<string, Change> = {
  "as it is": () => {},
  "an id that two kinds of things share": (archive) => {
    find(archive, "VIEW").dumpId = find(archive, "TABLE", "a").dumpId;
  },
  "an encoding told twice": twice("ENCODING"),
  "no encoding": ({ entries }) => entries.splice(0, 1),
  "a dependency that leads nowhere": entry("VIEW", (one) => one.dependencies.push("99999")),
  "a dependency on itself": entry("VIEW", (one) => one.dependencies.push(String(one.dumpId))),
  "a dependency below zero": entry("VIEW", (one) => one.dependencies.push("-5")),
  "a dependency that is no number": entry("VIEW", (one) => one.dependencies.push("x")),
  "a dependency beyond all numbers": entry("VIEW", (one) => one.dependencies.push("9".repeat(20))),
  "rows of no known table": rows((one) => one.dependencies = []),
  "the section of what has none": table((one) => one.section = 1),
  "another section": table((one) => one.section = 4),
  "an offset that is set and wrong": rows((one) => one.offsetFlag = 2),
  "no owner": table((one) => one.owner = undefined),
  "no way to drop it": table((one) => one.dropping = undefined),
  "a table with oids": table((one) => one.withOids = Buffer.from("true")),
  "an oid that is no number": table((one) => one.tableOid = Buffer.from("x")),
  "a very large id": entry("VIEW", (one) => one.dumpId = 10_000_000),
  "another word for having data": rows((one) => one.hasData = 2),
};

/** What pg_restore refuses, crashes on, or passes over so that something is missing. */
const refused: Record<string, Change> = {
  "an object made twice": twice("VIEW"),
  "rows that are there twice": twice("TABLE DATA"),
  "a constraint made twice": twice("FK CONSTRAINT"),
  "an id of zero": entry("VIEW", (one) => one.dumpId = 0),
  "an id below zero": entry("VIEW", (one) => one.dumpId = -1),
  "an id beyond its memory": entry("VIEW", (one) => one.dumpId = 2 ** 31 - 1),
  "rows of a table beyond all ids": rows((one) => one.dependencies = ["99999"]),
  "rows of table zero": rows((one) => one.dependencies = ["0"]),
  "no section": table((one) => one.section = 0),
  "a section that is none": table((one) => one.section = 9),
  "a section below zero": table((one) => one.section = -1),
  "a place of data that is none": rows((one) => one.offsetFlag = 0),
  "another place of data that is none": rows((one) => one.offsetFlag = 4),
  "rows that are said to be nowhere": rows((one) => one.offsetFlag = 3),
  "rows that are said to be none": rows((one) => one.hasData = 0),
  "data of a view": entry("VIEW", (one) => one.hasData = 1),
  "an unknown encoding": entry("ENCODING", (one) => {
    one.definition = Buffer.from("SET client_encoding = 'NOPE';\n");
  }),
  "no encoding in its entry": entry("ENCODING", (one) => one.definition = Buffer.from("x")),
  "strings neither on nor off": entry("STDSTRINGS", (one) => {
    one.definition = Buffer.from("SET standard_conforming_strings = 'x';\n");
  }),
  "no strings in their entry": entry("STDSTRINGS", (one) => one.definition = Buffer.from("x")),
  "no name": table((one) => one.tag = undefined),
  "no kind": table((one) => one.description = undefined),
  "no word on oids": table((one) => one.withOids = undefined),
  "no oid of the catalog": table((one) => one.tableOid = undefined),
  "no oid": table((one) => one.oid = undefined),
  "nothing that makes a table": table((one) => one.definition = undefined),
  "blocks in another order": (archive) => {
    const { entries } = archive;
    const [one, other] = ["a", "b"].map((tag) => entries.indexOf(find(archive, "TABLE DATA", tag)));
    [entries[one!], entries[other!]] = [entries[other!]!, entries[one!]!];
  },
};

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`a table of contents of PostgreSQL ${version}`, () => {
    test("is refused where pg_restore refuses it, and only there", async () => {
      const server = await postgres(version);
      const database = await server.createDatabase();
      await server.psql(
        database,
        `CREATE TABLE a (id int PRIMARY KEY, t text);
         INSERT INTO a SELECT i, 'x' FROM generate_series(1, 10) i;
         CREATE TABLE b (id int REFERENCES a);
         INSERT INTO b VALUES (1);
         CREATE VIEW v AS SELECT * FROM a;
         SELECT lo_from_bytea(0, 'x');`,
      );
      const { artifacts } = await dumpOf(optionsOf(server, database));
      const { bytes } = artifacts.find(({ head }) => head.role === "dump")!;
      assert.ok(putTogether(takeApart(bytes)).equals(bytes));
      const changes = [
        ...Object.entries(taken).map((one) => [...one, true] as const),
        ...Object.entries(refused).map((one) => [...one, false] as const),
      ];
      for (const [title, change, isTaken] of changes) {
        const archive = takeApart(bytes);
        change(archive);
        const changed = putTogether(archive);
        assert.equal(await isRestored(server, changed), isTaken, `pg_restore: ${title}`);
        assert.equal(walk(changed), isTaken, `the walker: ${title}`);
      }
    });
  });
}

/** Whether the archive is restored with all that is in it. */
async function isRestored(server: PostgresServer, archive: Buffer): Promise<boolean> {
  const database = await server.createDatabase();
  const { code } = await run(path.join(server.binDir, "pg_restore"), [
    ...["--exit-on-error", "-h", server.socketDir, "-p", String(server.port)],
    ...["-U", "postgres", "-d", database],
  ], { input: archive });
  const counts = code === 0
    ? await server.psql(
      database,
      `SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM v),
              (SELECT count(*) FROM pg_largeobject_metadata)`,
    ).catch(String)
    : "";
  await server.psql("postgres", `DROP DATABASE "${database}"`);
  return counts === "10|1|10|1";
}

function walk(archive: Buffer): boolean {
  const walker = archiveFormat.walk();
  try {
    walker.push(archive);
    walker.end();
    return true;
  } catch (error) {
    assert.ok(error instanceof BackupError && error.code.startsWith("verification/"), `${error}`);
    return false;
  }
}
