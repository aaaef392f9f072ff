import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { extractOptionNames } from "@optique/core/usage";
import { commands } from "../../src/cli/cli.ts";
import { variableOf, withVariables } from "../../src/cli/variables.ts";
import { dbbackup, fails, filesBelow, type Place, place, succeeds } from "../e2e/support/cli.ts";
import { makeSqlite } from "../e2e/support/sqlite.ts";

let at: Place;
before(async () => {
  at = place("variables");
  makeSqlite(join(at.folder, "shop.db"));
  await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
});

/** The command line that variables make of one. */
function made(line: string, env: Record<string, string>): readonly string[] {
  return withVariables(line.split(" "), commands, env).argv;
}

describe("a variable", () => {
  test("gives a flag that the command line does not, and loses against one that it does", async () => {
    const env = { DBBACKUP_FROM: "./backups", DBBACKUP_JSON: "1" };
    const listed = (await succeeds(at, ["list"], { env })).json() as unknown[];
    assert.equal(listed.length, 1);
    await fails(at, ["list", "--from", "./elsewhere"], "storage/not-found", 6, { env });
    const { stdout } = await succeeds(at, ["list"], { env: { ...env, DBBACKUP_JSON: "0" } });
    assert.match(stdout, /^TIME/);
  });

  test("wins over the config", async () => {
    writeFileSync(
      join(at.folder, "x.yaml"),
      `databases: { shop: { type: sqlite, path: shop.db } }
destinations: { disk: { type: local, path: ./configured } }
jobs: { shop: { database: shop, destinations: [disk], compression: none } }
`,
      { mode: 0o600 },
    );
    const env = { DBBACKUP_CONFIG: "x.yaml", DBBACKUP_COMPRESSION: "zstd" };
    await succeeds(at, ["backup", "shop"], { env });
    const dump = filesBelow(join(at.folder, "configured")).find((name) => name.includes("dump"));
    assert.match(dump!, /\.zst$/);
  });

  test("gives a whole ad-hoc backup, where no job is named", async () => {
    const env = { DBBACKUP_FROM: "sqlite:shop.db", DBBACKUP_TO: "./one\n./two\n" };
    await succeeds(at, ["backup"], { env });
    for (const folder of ["one", "two"]) assert.ok(existsSync(join(at.folder, folder)));
    assert.deepEqual(made("backup shop", env).slice(0, 3), ["backup", "--to=./one", "--to=./two"]);
    assert.deepEqual(made("backup --job x", env).slice(0, 2), ["backup", "--from=sqlite:shop.db"]);
  });

  test("goes before the words of the command line, whatever they look like", () => {
    const env = { DBBACKUP_YES: "yes", DBBACKUP_ONLY: "--x" };
    assert.deepEqual(made("restore -- --yes", env), [
      "restore",
      "--only=--x",
      "--yes",
      "--",
      "--yes",
    ]);
    assert.deepEqual(made("key new", { DBBACKUP_OUTPUT: "k" }), ["key", "new", "--output=k"]);
  });

  test("is left alone where the command line has decided otherwise", () => {
    const env = { DBBACKUP_PASSPHRASE_FILE: "p", DBBACKUP_RECIPIENT: "age1x" };
    assert.deepEqual(made("backup a --recipient=age1y", env), ["backup", "a", "--recipient=age1y"]);
  });

  test("of an identity is no flag: it may hold the identity itself", () => {
    assert.deepEqual(made("list", { DBBACKUP_IDENTITY: "AGE-SECRET-KEY-1" }), ["list"]);
  });

  for (
    const [name, value, args, told] of [
      ["DBBACKUP_JSON", "maybe", ["list"], /DBBACKUP_JSON is "maybe"/],
      [
        "DBBACKUP_LOG_LEVEL",
        "loud",
        ["list"],
        /DBBACKUP_LOG_LEVEL: expected debug, info, warning or error, but got "loud"/,
      ],
      [
        "DBBACKUP_TIMEOUT",
        "soon",
        ["backup", "--from", "sqlite:shop.db", "--to", "x"],
        /hint: DBBACKUP_TIMEOUT gives --timeout\. Write it like/,
      ],
      ["DBBACKUP_FROM", "ftp://x", ["list"], /hint: DBBACKUP_FROM gives --from\./],
      ["DBBACKUP_JOBS", "0", ["restore", "--from", "backups"], /DBBACKUP_JOBS: /],
    ] as const
  ) {
    test(`with a wrong value is named: ${name}=${value}`, async () => {
      const { code, stderr } = await dbbackup(at, args, { env: { [name]: value } });
      assert.equal(code, 2, stderr);
      assert.match(stderr, told);
    });
  }

  test("that names a place which is not there is named, too", async () => {
    const env = { DBBACKUP_FROM: "./nowhere" };
    const { stderr } = await fails(at, ["list"], "storage/not-found", 6, { env });
    assert.match(stderr, /hint: DBBACKUP_FROM gives --from\. Check the path/);
  });

  test("does not take the blame for what is wrong on the command line itself", async () => {
    const env = { DBBACKUP_FROM: "./backups" };
    const { stderr } = await fails(at, ["list", "--jsno"], "usage/unknown-option", 2, { env });
    assert.doesNotMatch(stderr, /DBBACKUP_FROM/);
  });

  test("that holds a password is not told to stand on the command line", async () => {
    const env = { DBBACKUP_FROM: "postgres://u:c4n4ry@localhost:1/x", DBBACKUP_TO: "./x" };
    const { stderr } = await fails(at, ["backup"], "connection/unreachable", 4, { env });
    assert.doesNotMatch(stderr, /command line|c4n4ry/);
  });
});

describe("help", () => {
  for (const { path, parser } of commands) {
    test(`of ${path.join(" ")} shows the variable of each flag`, async () => {
      const { stdout } = await succeeds(at, [...path, "--help"]);
      const text = stdout.replace(/\s+/g, " ");
      for (const flag of extractOptionNames(parser.usage)) {
        assert.ok(text.includes(variableOf(flag)), `${flag}: ${text}`);
        assert.doesNotMatch(variableOf(flag), /^DBBACKUP_RUN_/, "those are for hooks");
      }
    });
  }

  test("names the variables that are no flag's", async () => {
    const { stdout } = await succeeds(at, ["--help"]);
    for (const name of ["IDENTITY", "PASSPHRASE", "RUN_…"]) {
      assert.match(stdout, new RegExp(`^ +DBBACKUP_${name} +\\S`, "m"));
    }
    for (const name of ["NO_COLOR", "TMPDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"]) {
      assert.match(stdout, new RegExp(`^ +${name} +\\S`, "m"));
    }
  });
});
