import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { needs } from "../support/needs.ts";
import { postgres } from "../support/postgres.ts";
import { run } from "../support/run.ts";
import { commandOnTerminal, withoutTerminal } from "../support/terminal.ts";
import { binary, fails, filesBelow, listed, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

const from = ["--from", "./backups"];

/** A place with one backup in ./backups, its id and its dump. */
async function backedUp(name: string, ...flags: string[]) {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), 2);
  await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups", ...flags]);
  const { id } = (await listed(at, "./backups"))[0]!;
  const folder = join(at.folder, "backups");
  const dump = join(folder, filesBelow(folder).find((file) => file.includes("/dump-001"))!);
  return { at, id, dump };
}

/** Runs a line of bash in which `dbbackup` is the binary. */
async function inBash(at: Place, line: string) {
  const script = `set -o pipefail; dbbackup() { '${binary}' "$@"; }; ${line}`;
  return await run("bash", ["-c", script], { cwd: at.folder, env: at.env });
}

interface ArtifactJson {
  readonly number: number;
  readonly role: string;
  readonly rawBytes: number;
  readonly rawSha256: string;
  readonly files: string[];
}

describe("cat", () => {
  for (
    const [what, flags] of [
      ["not compressed", ["--compression", "none"]],
      ["compressed", ["--compression", "zstd"]],
    ] as const
  ) {
    test(`writes the dump of a ${what} backup as it was, which is a database`, async () => {
      const { at, id } = await backedUp("cat", ...flags);
      const { code, stderr } = await inBash(
        at,
        `dbbackup cat ${id.slice(0, 4)} ${from.join(" ")} > out.db`,
      );
      assert.deepEqual([code, stderr], [0, ""]);
      assert.equal(ordersOf(join(at.folder, "out.db")), ordersOf(join(at.folder, "shop.db")));
      const artifacts = (await succeeds(at, ["cat", id, ...from, "--json"]))
        .json() as ArtifactJson[];
      const out = readFileSync(join(at.folder, "out.db"));
      const dump = artifacts.find(({ role }) => role === "dump")!;
      assert.equal(createHash("sha256").update(out).digest("hex"), dump.rawSha256);
      assert.equal(out.byteLength, dump.rawBytes);
    });
  }

  test("takes an artifact by number, file, role and database", async () => {
    const { at, id } = await backedUp("cat-names");
    const text = async (...words: string[]) =>
      (await succeeds(at, ["cat", id, ...words, ...from])).stdout;
    const inventory = await text("inventory");
    assert.ok("databases" in JSON.parse(inventory));
    for (const word of ["2", "inventory.json.gz"]) assert.equal(await text(word), inventory);
    for (const word of ["1", "dump-001-shop", "dump", "shop.db"]) {
      assert.ok((await text(word)).startsWith("SQLite format 3\0"), word);
    }
    const { stderr } = await fails(at, ["cat", id, "dmp", ...from], "usage/no-such-artifact", 2);
    assert.match(stderr, /hint: Did you mean "dump"\?/);
    await fails(at, ["cat", id, "dump", "--json", ...from], "usage/cat-json", 2);
    await fails(at, ["cat", "zzzz", ...from], "usage/no-such-backup", 2);
  });

  test("that head cuts short is quiet and ends well", async () => {
    const { at, id } = await backedUp("cat-head");
    const line = `dbbackup cat ${id} ${from.join(" ")} | head -c 15`;
    const { code, stdout, stderr } = await inBash(at, line);
    assert.deepEqual([code, stdout, stderr], [0, "SQLite format 3", ""]);
  });

  test("onto a full disk fails", async () => {
    const { at, id } = await backedUp("cat-full");
    const { code, stderr } = await inBash(at, `dbbackup cat ${id} ${from.join(" ")} > /dev/full`);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /Cannot write standard output: .*ENOSPC.*\(usage\/output\)/);
  });

  for (
    const [what, flags] of [["", []], [" that is not compressed", [
      "--compression",
      "none",
    ]]] as const
  ) {
    test(`of a changed dump${what} ends with 7, and says that what it wrote is not whole`, async () => {
      const { at, id, dump } = await backedUp("cat-damaged", ...flags);
      const bytes = readFileSync(dump);
      bytes[bytes.byteLength - 9_000]! ^= 1;
      writeFileSync(dump, bytes);
      const { code, stdout, stderr } = await inBash(
        at,
        `dbbackup cat ${id} ${from.join(" ")} | wc -c`,
      );
      assert.equal(code, 7, stderr);
      assert.match(stderr, /^error: .* \(verification\/(digest|corrupt|structure)\)\n/);
      // What is small is found damaged before anything of it went out.
      if (stdout.trim() === "0") assert.doesNotMatch(stderr, /What was written/);
      else assert.match(stderr, /\nhint: What was written is not whole: throw it away\. /);
    });
  }

  test("of a cut dump ends with 7 before it writes anything", async () => {
    const { at, id, dump } = await backedUp("cat-cut");
    truncateSync(dump, statSync(dump).size - 1);
    const { stdout, stderr } = await fails(at, ["cat", id, ...from], "verification/size", 7);
    assert.equal(stdout, "");
    assert.doesNotMatch(stderr, /What was written/);
  });

  test("reads another destination where one lacks a file", async () => {
    const { at, id, dump } = await backedUp("cat-other", "--to", "./second");
    rmSync(dump);
    const both = [...from, "--from", "./second"];
    const { stdout, stderr } = await succeeds(at, ["cat", id, ...both]);
    assert.ok(stdout.startsWith("SQLite format 3\0"));
    assert.match(stderr, /The copy of \w+ at \.\/backups cannot be read: /);
  });

  test("of an encrypted backup wants its key", async () => {
    const at = place("cat-key");
    makeSqlite(join(at.folder, "shop.db"), 1);
    const made = (await succeeds(at, ["key", "new", "--output", "key.txt", "--json"])).json();
    const { recipient } = made as { recipient: string };
    const backup = ["backup", "--from", "sqlite:shop.db", "--to", "./backups"];
    await succeeds(at, [...backup, "--recipient", recipient]);
    const { id } = (await listed(at, "./backups"))[0]!;
    const { stdout } = await fails(at, ["cat", id, ...from], "config/identity", 3);
    assert.equal(stdout, "");
    const opened = await succeeds(at, ["cat", id, ...from, "--identity", "key.txt"]);
    assert.ok(opened.stdout.startsWith("SQLite format 3\0"));
    await fails(at, ["show", id, "--tables", ...from], "config/identity", 3);
    const shown = await succeeds(at, ["show", id, "--tables", ...from, "--identity", "key.txt"]);
    assert.match(shown.stdout, /^orders +\d+ +[\d.]+ KiB$/m);
  });
});

describe("cat on a terminal", { skip: withoutTerminal }, () => {
  test("shows texts, and what is none only when told", async () => {
    const { at, id } = await backedUp("cat-terminal");
    const refused = await commandOnTerminal(at, [binary, "cat", id, ...from]);
    assert.equal(refused.code, 2);
    assert.match(refused.screen, /usage\/binary-output/);
    assert.match(refused.screen, /hint: Send it to a file or a program, `dbbackup cat \w+ > FILE`/);
    assert.doesNotMatch(refused.screen, /SQLite format/);
    const told = await commandOnTerminal(at, [binary, "cat", id, ...from, "--force"]);
    assert.match(told.screen, /SQLite format 3/);
    const text = await commandOnTerminal(at, [binary, "cat", id, "inventory", ...from]);
    assert.equal(text.code, 0);
    assert.match(text.screen, /"databases"/);
  });
});

needs("postgres15").describe("of a backup of several databases", () => {
  let at: Place;
  let id: string;
  const names: string[] = [];
  before(async () => {
    const server = await postgres(15);
    at = place("cat-several", { PGPASSWORD: server.password });
    for (let index = 0; index < 2; index++) names.push(await server.createDatabase());
    for (const name of names) {
      await server.psql(
        name,
        "CREATE TABLE orders AS SELECT generate_series(1, 1234) AS id; CREATE SCHEMA s; CREATE TABLE s.empty (); CREATE VIEW v AS SELECT 1",
      );
    }
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      `databases: { all: { type: postgres, url: "\${URL}", databases: [${names.join(", ")}] } }
destinations: { disk: { type: local, path: ./backups } }
jobs: { all: { database: all, destinations: [disk] } }
`,
      { mode: 0o600 },
    );
    await succeeds(at, ["backup", "all"], { env: { URL: server.url("postgres") } });
    id = (await listed(at, "./backups"))[0]!.id;
  });

  test("cat wants one of them named, in a pipe", async () => {
    const { stderr, stdout } = await fails(at, ["cat", id, ...from], "usage/missing-artifact", 2);
    assert.match(stderr, /hint: Name one: 1 \(/);
    assert.equal(stdout, "");
    const accounts = await succeeds(at, ["cat", id, "accounts", ...from]);
    assert.match(accounts.stdout, /CREATE ROLE/);
    assert.ok((await succeeds(at, ["cat", id, names[1]!, ...from])).stdout.startsWith("PGDMP"));
  });

  test("cat lists them on a terminal", { skip: withoutTerminal }, async () => {
    const { code, screen } = await commandOnTerminal(at, [binary, "cat", id, ...from]);
    assert.equal(code, 0, screen);
    for (const name of names) assert.match(screen, new RegExp(`\\d +dump +${name} `));
  });

  test("show --tables tells each table with its rows, for people and machines", async () => {
    const { stdout } = await succeeds(at, ["show", id, "--tables", ...from]);
    for (const name of names) {
      assert.match(
        stdout,
        new RegExp(
          `${name}: 2 tables, [\\d.]+ KiB of dump\nNAME +ROWS +IN DUMP\npublic.orders +1234 +[\\d.]+ KiB\ns.empty +0 +0 B`,
        ),
      );
    }
    const json = (await succeeds(at, ["show", id, "--tables", "--json", ...from])).json();
    const { tables } = json as { tables: { name: string; bytes: number }[] };
    assert.deepEqual(
      tables.filter(({ name }) => name === "orders").map(({ bytes, ...one }) => {
        assert.ok(bytes > 1234, `${bytes} bytes`);
        return one;
      }),
      names.map((database) => ({
        database,
        type: "table",
        schema: "public",
        name: "orders",
        rows: 1234,
        isExact: true,
      })),
    );
    const without = (await succeeds(at, ["show", id, "--json", ...from])).json();
    assert.ok(!("tables" in (without as object)));
  });
});
