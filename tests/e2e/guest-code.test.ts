import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { run } from "../support/run.ts";
import {
  assertNothingLeft,
  binary,
  fails,
  listed,
  type Place,
  place,
  starts,
  succeeds,
  until,
} from "./support/cli.ts";
import { makeSqlite } from "./support/sqlite.ts";

/** A good config, with these lines before its export. */
function withConfig(name: string, lines: string): Place {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"));
  writeFileSync(
    join(at.folder, "backup.config.ts"),
    `import { defineConfig, local, sqlite } from "dbbackup";
import { writeFileSync } from "node:fs";
${lines}
export default defineConfig({
  databases: { shop: sqlite({ path: "./shop.db" }) },
  destinations: { disk: local({ path: "./backups" }) },
  jobs: { shop: { database: "shop", destinations: ["disk"] } },
});
`,
    { mode: 0o600 },
  );
  return at;
}

const once = ["run", "--once"];

describe("a config that does not come to its end", () => {
  const endless: Readonly<Record<string, string>> = {
    "loops": "for (;;);",
    "waits for what never comes": "await new Promise(() => {});",
    "waits for long": "await new Promise((resolve) => setTimeout(resolve, 1_000_000));",
  };
  for (const [what, line] of Object.entries(endless)) {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      test(`is ended by ${signal} when it ${what}`, async () => {
        const at = withConfig("endless", `writeFileSync("loading", "");\n${line}`);
        const { child, ended } = starts(at, once);
        await until("it loads", () => existsSync(join(at.folder, "loading")));
        child.kill(signal);
        const { code, signal: by, stderr } = await ended;
        assert.equal(by, signal, `${code}: ${stderr}`);
      });
    }
  }
});

describe("a config that wants to end the process", () => {
  const ways: Readonly<Record<string, [string, string]>> = {
    "while it is loaded": ["process.exit(0);", "config/exited"],
    "and catches what it gets": ["try { process.exit(0); } catch {}", "config/exited"],
    "later": ["setTimeout(() => process.exit(0), 1);", "config/exited"],
    "by an error that nobody waits for": [
      'setTimeout(() => { throw new Error("late trouble"); }, 1);',
      "config/stray-error",
    ],
    "by a promise that nobody waits for": [
      'setTimeout(() => { Promise.reject(new Error("late trouble")); }, 1);',
      "config/stray-error",
    ],
  };
  for (const [what, [line, code]] of Object.entries(ways)) {
    test(`${what} is told so, with status 3 and no backup`, async () => {
      const at = withConfig("exits", line);
      const { stderr } = await fails(at, once, code, 3);
      if (code === "config/stray-error") {
        assert.match(stderr, /at \S*backup\.config\.ts, line 3: late trouble/);
      }
      assertNothingLeft(join(at.folder, "backups"));
      const { stdout } = await fails(at, [...once, "--json"], code, 3);
      JSON.parse(stdout);
    });
  }
});

test("what a config prints goes to standard error, and leaves --json whole", async () => {
  const at = withConfig(
    "prints",
    'console.log("one"); console.info("two"); console.table([{ three: 3 }]);\n' +
      'console.error("four"); process.stdout.write("five\\n");',
  );
  const result = await succeeds(at, [...once, "--json"]);
  assert.equal((result.json() as { runs: unknown[] }).runs.length, 1);
  for (const word of ["one", "two", "three", "four", "five"]) {
    assert.ok(result.stderr.includes(word), `${word}: ${result.stderr}`);
  }
});

describe("a backup whose output goes nowhere", () => {
  const backup = `'${binary}' backup --from sqlite:shop.db --to ./backups`;
  const ways: Readonly<Record<string, string>> = {
    "a reader that has gone": `{ ${backup} --json; echo $? >status; } | true`,
    "a reader of one line": `{ ${backup}; echo $? >status; } | head -1`,
    "a closed descriptor": `${backup} >&-; echo $? >status`,
    "a full disk": `${backup} >/dev/full; echo $? >status`,
    "nowhere at all": `${backup} >&- 2>&-; echo $? >status`,
  };
  for (const [what, script] of Object.entries(ways)) {
    test(`is a success all the same: ${what}`, async () => {
      const at = place("output");
      makeSqlite(join(at.folder, "shop.db"));
      const { stdout, stderr } = await run("sh", ["-c", `${script}\ncat status`], {
        cwd: at.folder,
        env: at.env,
      });
      assert.match(stdout, /(^|\n)0\n$/, stderr);
      assert.equal((await listed(at, "./backups")).length, 1);
      if (what === "a full disk") assert.match(stderr, /^warning: Cannot write .*usage\/output/m);
    });
  }
});
