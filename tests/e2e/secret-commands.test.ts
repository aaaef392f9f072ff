import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { dbbackup, fails, filesBelow, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

const canary = "c4n4ry-of-a-command";

/** A place with a database, and a program that notes each of its runs and prints the canary. */
function withProgram(name: string): Place {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), 1);
  const script = `#!/bin/sh\necho run >> '${
    join(at.folder, "runs")
  }'\nprintf '%s\\n' '${canary}'\n`;
  writeFileSync(join(at.folder, "vault"), script);
  chmodSync(join(at.folder, "vault"), 0o755);
  return at;
}

function runsOf(at: Place): number {
  const path = join(at.folder, "runs");
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n").length : 0;
}

/** A config whose job is encrypted with a passphrase that is written like this. */
function yaml(at: Place, passphrase: string): void {
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases: { shop: { type: sqlite, path: shop.db } }
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk], encryption: { passphrase: ${passphrase} } } }
`,
    { mode: 0o600 },
  );
}

describe("a secret from a command", () => {
  for (
    const [what, passphrase] of [
      ["a line", "{ command: ./vault show x | cat }"],
      ["a list", "{ command: [./vault, show, x], timeoutMs: 20000 }"],
      ["a reference in a text", '"${command:./vault show x}"'],
    ] as const
  ) {
    test(`of YAML, ${what}, opens what it closed; it runs beside the config, and only when needed`, async () => {
      const at = withProgram("command");
      yaml(at, passphrase);
      const config = ["--config", join(at.folder, "backup.config.yaml")];
      mkdirSync(join(at.folder, "other"));
      const elsewhere = { ...at, folder: join(at.folder, "other") };
      const made = await succeeds(elsewhere, ["backup", "shop", ...config, "--log-level", "debug"]);
      assert.equal(runsOf(at), 1);
      await succeeds(at, ["list"]);
      const shown = await succeeds(at, ["config", "show"]);
      assert.match(shown.stdout, /\$\{command:\.\/vault …\}/);
      assert.equal(runsOf(at), 1, "nobody needed it");
      const args = ["restore", "shop", "--to", "sqlite:back.db", "--yes"];
      const restored = await succeeds(at, args);
      assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
      assert.doesNotMatch(made.stderr + made.stdout + shown.stdout + restored.stderr, /c4n4ry/);
      const folder = join(at.folder, "backups");
      for (const file of filesBelow(folder)) {
        assert.ok(!readFileSync(join(folder, file)).includes(canary), file);
      }
    });
  }

  test("of TypeScript does the same", async () => {
    const at = withProgram("command-ts");
    writeFileSync(
      join(at.folder, "backup.config.ts"),
      `import { command, defineConfig, local, sqlite } from "dbbackup";
export default defineConfig({
  databases: { shop: sqlite({ path: "shop.db" }) },
  destinations: { disk: local({ path: "./backups" }) },
  jobs: {
    shop: {
      database: "shop",
      destinations: ["disk"],
      encryption: { passphrase: command(["./vault", "show"], { timeoutMs: 9_000 }) },
    },
  },
});
`,
      { mode: 0o600 },
    );
    await succeeds(at, ["backup", "shop"]);
    await succeeds(at, ["verify", "--deep"]);
  });

  test("of a flag and of a URL", async () => {
    const at = withProgram("command-flag");
    const from = ["--from", "command:echo sqlite:shop.db", "--to", "command:echo ./backups"];
    await succeeds(at, ["backup", ...from, "--passphrase-file", "command:./vault"]);
    assert.equal(runsOf(at), 1);
    const env = { DBBACKUP_PASSPHRASE_FILE: "env:PHRASE", PHRASE: canary };
    await succeeds(at, ["verify", "--deep", "--from", "./backups"], { env });
  });

  for (
    const [what, line, told] of [
      [
        "fails",
        "echo first >&2; echo no such entry >&2; exit 3",
        /exited with status 3: .*\n {2}first\n {2}no such entry\n/,
      ],
      ["is not there", "no-such-program-here", /exited with status 127: .*\n.*not found/],
      ["prints nothing", "true", /"true", which is to print a secret, printed nothing/],
    ] as const
  ) {
    test(`that ${what} is told, with what it said`, async () => {
      const at = withProgram("command-fails");
      yaml(at, JSON.stringify({ command: line }));
      const { stderr } = await fails(at, ["backup", "shop"], "config/secret-command", 3);
      assert.match(stderr, /The command "/);
      assert.match(stderr, told);
    });
  }

  test("of a program that is not there is told", async () => {
    const at = withProgram("command-missing");
    yaml(at, '{ command: ["no-such-program-here", "show"] }');
    const { stderr } = await fails(at, ["backup", "shop"], "config/secret-command", 3);
    assert.match(stderr, /"no-such-program-here …", which is to print a secret, is not installed/);
  });

  test("that does not end is stopped, with all that it started", async () => {
    const at = withProgram("command-hangs");
    const mark = `4${Date.now() % 1_000_000}.5`;
    yaml(at, `{ command: "sleep ${mark} & wait", timeoutMs: 300 }`);
    const { stderr } = await fails(at, ["backup", "shop"], "config/secret-command", 3);
    assert.match(stderr, /has printed no secret within 0\.3 s and was stopped/);
    const { run } = await import("../support/run.ts");
    const { stdout } = await run("sh", [
      "-c",
      "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '",
    ]);
    assert.ok(!stdout.includes(`sleep ${mark}`));
  });

  test("of another shape is a mistake of the config, not a command", async () => {
    const at = withProgram("command-shape");
    yaml(at, "{ command: ./vault, shell: true }");
    await fails(at, ["config", "check"], "config/invalid", 3);
    assert.equal(runsOf(at), 0);
    assert.equal((await dbbackup(at, ["list"])).code, 3);
  });
});
