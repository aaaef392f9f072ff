import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { commands } from "../../src/cli/cli.ts";
import { exitStatuses } from "../../src/core/errors.ts";
import { dbbackup, fails, type Place, place, succeeds } from "../e2e/support/cli.ts";
import { makeSqlite } from "../e2e/support/sqlite.ts";

let at: Place;
before(() => {
  at = place("usage");
  makeSqlite(join(at.folder, "shop.db"));
});

/** Command lines that are wrong, with the code and a part of what is said about each. */
const wrong: readonly [args: string[], code: string, told: RegExp][] = [
  [["lst"], "usage/unknown-command", /Did you mean "list"\?/],
  [["config", "sho"], "usage/unknown-command", /Did you mean "show"\?/],
  [["list", "--jsno"], "usage/unknown-option", /Did you mean "--json"\?/],
  [["list", "--log-format", "jsn"], "usage/bad-value", /"jsn".*\s+hint: Did you mean "json"\?/],
  [["completions", "bsh"], "usage/bad-value", /Did you mean "bash"\?/],
  [["backup", "--compression", "zst"], "usage/bad-value", /Did you mean "zstd"\?/],
  [
    ["doctor", "--from", "postgres://h/x?sslmode=verify_full"],
    "usage/bad-url",
    /Did you mean "verify-full"\?/,
  ],
  [["list", "--from", "s3://b/p?regio=x"], "usage/bad-url", /Did you mean "region"\?/],
  [
    ["list", "--from", "s3://b/p?storageClass=standard"],
    "usage/bad-url",
    /storageClass is one of STANDARD, /,
  ],
  [["--verbose", "list"], "usage/unknown-option", /after the command/],
  [["list", "a", "b"], "usage/unexpected-argument", /"b"/],
  [["list", "--json=yes"], "usage/bad-value", /--json/],
  [["list", "--from"], "usage/missing-value", /--from/],
  [["list", "--from", ""], "usage/bad-value", /not empty/],
  [["list", "--log-level", "loud"], "usage/bad-value", /"loud"/],
  [["show"], "usage/missing-value", /ID is missing/],
  [["show", "zzzz", "--from", "."], "usage/no-such-backup", /zzzz/],
  [["backup"], "usage/missing-job", /run --once/],
  [["run"], "usage/no-scheduler", /--once/],
  [["backup", "--from", "sqlite:shop.db"], "usage/missing-destination", /--to/],
  [["backup", "a", "--from", "sqlite:a", "--to", "b"], "usage/job-and-from", /"a"/],
  [["backup", "--from", "shop.db", "--to", "b"], "usage/unknown-scheme", /sqlite:PATH/],
  [["backup", "--from", "postgre://h/d", "--to", "b"], "usage/unknown-scheme", /"postgres:"/],
  [["backup", "--from", "sqlite:", "--to", "b"], "usage/bad-url", /sqlite:/],
  [["backup", "--from", "sqlite:a", "--to", "ftp://x"], "usage/unknown-scheme", /destination/],
  [
    ["backup", "--from", "sqlite:a", "--to", "b", "--compression", "brotli"],
    "usage/bad-value",
    /expected gzip, zstd or none, but got "brotli"/,
  ],
  [
    ["backup", "--from", "sqlite:a", "--to", "b", "--compression=none", "--compression-level=9"],
    "usage/bad-value",
    /--compression-level needs a compression.*\s+hint: The compression is none/,
  ],
  [["backup", "--from", "sqlite:a", "--to", "b", "--timeout", "10"], "usage/bad-value", /10m/],
  ...["--timeout", "--stall-timeout", "--retry-timeout"].map((
    flag,
  ): [string[], string, RegExp] => [
    ["backup", "--from", "sqlite:a", "--to", "b", flag, "300"],
    "usage/bad-value",
    /hint: A number needs its unit: 300s, 300m or 300h\./,
  ]),
  [["prune", "--max-age", "90", "--from", "b"], "usage/bad-value", /needs its unit: 90d or 90w\./],
  [
    ["backup", "--from", "sqlite:a", "--to", "b", "--volume-size", "100"],
    "usage/bad-value",
    /"100" is below 32KiB/,
  ],
  [
    ["backup", "--from", "sqlite:a", "--to", "b", "--volume-size", "big"],
    "usage/bad-value",
    /GiB/,
  ],
  [
    ["backup", "--from", "sqlite:a", "--to", "b", "--schema-only"],
    "usage/setting-unsupported",
    /SQLite has no --schema-only/,
  ],
  [
    ["backup", "--from", "sqlite:a", "--to", "b", "--password-file", "x"],
    "usage/no-password-here",
    /SQLite/,
  ],
  [
    ["restore", "--from", "b", "--to", "sqlite:r.db", "--at", "yesterday"],
    "usage/bad-time",
    /"yesterday"/,
  ],
  [["restore", "--from", ".", "--password-file", "x"], "usage/password-file", /--to/],
  [["restore", "--from", "."], "usage/missing-target", /--to URL/],
  [["restore", "zzzz", "--from", ".", "--to", "sqlite:r.db"], "usage/no-such-backup", /zzzz/],
  [["completions", "tcsh"], "usage/bad-value", /tcsh/],
];

describe("a wrong command line", () => {
  for (const [args, code, told] of wrong) {
    test(`exits with 2 and says what to do: ${args.join(" ")}`, async () => {
      const { stdout, stderr } = await fails(at, args, code, 2);
      assert.match(stderr, told);
      assert.match(stderr, /^error: .+\nhint: .+\n$/, "one sentence and one hint");
      assert.equal(stdout, "", "standard output is for results");
    });
  }

  test("without any command shows the help on standard error", async () => {
    const { code, stdout, stderr } = await dbbackup(at, []);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /Usage: dbbackup COMMAND/);
  });

  test("of a group without its command shows the group's help on standard error", async () => {
    for (
      const group of new Set(commands.filter(({ path }) => path.length > 1).map((c) => c.path[0]!))
    ) {
      const { code, stdout, stderr } = await dbbackup(at, [group]);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, new RegExp(`Usage: dbbackup ${group} COMMAND`));
    }
  });

  test("tells --json the error as an object with code, message, hint and status", async () => {
    const { json, code } = await dbbackup(at, ["list", "--json", "--from", "nowhere"]);
    const { error } = json() as { error: Record<string, unknown> };
    assert.equal(error["code"], "storage/not-found");
    assert.equal(error["exitStatus"], code);
    for (const key of ["message", "hint"]) assert.equal(typeof error[key], "string");
  });
});

describe("help", () => {
  for (const { path, examples } of commands) {
    test(`of ${path.join(" ")} has its examples`, async () => {
      const { stdout, stderr } = await succeeds(at, [...path, "--help"]);
      for (const example of examples) assert.ok(stdout.includes(example), stdout);
      assert.equal(stderr, "");
      assert.equal((await succeeds(at, ["help", ...path])).stdout, stdout);
    });
  }

  test("names every exit status with its meaning", async () => {
    const { stdout } = await succeeds(at, ["--help"]);
    for (const [area, status] of Object.entries(exitStatuses)) {
      assert.match(stdout, new RegExp(`^ +${status}  ${area} `, "m"));
    }
  });

  test("examples are command lines that parse", async () => {
    const { parseArguments } = await import("../../src/cli/cli.ts");
    for (const { examples } of commands) {
      for (const example of examples) {
        const [line = ""] = example.split(/ [|>] /);
        const parsed = parseArguments(line.split(" ").slice(1), 100);
        assert.equal(parsed.type, "invocation", example);
      }
    }
  });
});

describe("standard output", () => {
  test("closed early by head is no failure", async () => {
    const { run } = await import("../support/run.ts");
    const { binary } = await import("../e2e/support/cli.ts");
    const script = `set -o pipefail; '${binary}' config types | head -n 1`;
    const { code, stderr } = await run("bash", ["-c", script], { env: at.env, cwd: at.folder });
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
  });

  test("that cannot be written is told", async () => {
    const { run } = await import("../support/run.ts");
    const { binary } = await import("../e2e/support/cli.ts");
    const script = `'${binary}' config types > /dev/full`;
    const { code, stderr } = await run("sh", ["-c", script], { env: at.env, cwd: at.folder });
    assert.equal(code, 2);
    assert.match(stderr, /usage\/output/);
  });

  test("has no colour and no progress in a pipe", async () => {
    const { stdout, stderr } = await succeeds(at, [
      ...["backup", "--from", "sqlite:shop.db", "--to", "./quiet"],
    ]);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(stdout + stderr, /\x1b|\r/);
  });
});

interface Runs {
  readonly runs: { run: string; status: string; backup: Record<string, unknown> }[];
}

describe("--json", () => {
  test("prints one document for every command", async () => {
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      `databases: { shop: { type: sqlite, path: shop.db } }
destinations: { disk: { type: local, path: ./json } }
jobs: { shop: { database: shop, destinations: [disk] } }
`,
      { mode: 0o600 },
    );
    const json = async (...args: string[]) => (await succeeds(at, [...args, "--json"])).json();
    const { runs } = await json("run", "--once") as Runs;
    assert.equal(runs[0]!.status, "success");
    const backed = await json("backup", "shop") as Runs;
    const [newest, oldest] = await json("list") as Record<string, unknown>[];
    const facts = (one: Record<string, unknown> | undefined) =>
      ["id", "createdAt", "rawBytes", "storedBytes"].map((key) => one?.[key]);
    assert.deepEqual(facts(oldest), facts(runs[0]!.backup), "list and run agree");
    assert.deepEqual(facts(newest), facts(backed.runs[0]!.backup), "list and backup agree");
    await json("hold", runs[0]!.run);
    assert.deepEqual(
      facts(await json("show", runs[0]!.run) as Record<string, unknown>),
      facts(runs[0]!.backup),
      "show agrees, and a mark changes nothing",
    );
    for (const key of ["id", "job", "kind", "parent", "createdAt", "rawBytes", "storedBytes"]) {
      assert.ok(key in newest!, key);
    }
    const shown = await json("show", runs[0]!.run) as { manifest: { id: string } };
    assert.equal(shown.manifest.id, runs[0]!.run);
    const verified = await json("verify", "--deep") as { status: string }[];
    assert.deepEqual(verified.map(({ status }) => status), ["good", "good"]);
    const restored = await json("restore", "shop", "--to", "sqlite:back.db", "--yes");
    assert.ok("plan" in (restored as object) && "result" in (restored as object));
    for (const command of ["hold", "release"]) await json(command, runs[0]!.run);
    await json("prune", "--dry-run", "--last", "5");
    await json("key", "new", "--output", "key.txt");
    await json("doctor");
    await json("config", "check", "--connect");
    await json("config", "show");
    await json("config", "types");
    await json("config", "schema");
    await json("config", "init", "--dir", ".", "--force");
  });
});
