import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { commands } from "../../src/cli/cli.ts";
import { jobSchema } from "../../src/config/job.ts";
import { exitStatuses } from "../../src/core/errors.ts";
import { binary } from "../e2e/support/cli.ts";
import { tempDir } from "../support/workspace.ts";

const readme = readFileSync(fileURLToPath(import.meta.resolve("../../README.md")), "utf8");

/** The first column of the table that begins with this header, without the lines that frame it. */
function firstColumn(header: string): string[] {
  const lines = readme.split("\n");
  const at = lines.findIndex((line) => line.startsWith(`| ${header} `));
  assert.ok(at >= 0, `a table "${header}"`);
  const length = lines.slice(at).findIndex((line) => !line.startsWith("|"));
  // A "|" inside of code is written "\|".
  return lines.slice(at + 2, at + length).map((line) =>
    line.replaceAll("\\|", "¦").split("|")[1]!.trim()
  );
}

/** The lines of its blocks for a shell that begin with `dbbackup`. */
function commandLines(): string[] {
  return [...readme.matchAll(/^```sh\n([^]*?)^```$/gm)]
    .flatMap(([, block]) => block!.split("\n"))
    .filter((line) => line.startsWith("dbbackup "));
}

describe("the README", () => {
  test("names each key of a job, and no other", () => {
    const named = firstColumn("key of a job").join(", ").matchAll(/`(\w+)`/g);
    assert.deepEqual(
      [...named].map(([, key]) => key).sort(),
      Object.keys(jobSchema.shape).sort(),
    );
  });

  test("names each command", () => {
    const named = firstColumn("command").flatMap((cell) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
    );
    for (const { path } of commands) {
      const [first, second] = path;
      const isNamed = named.some((code) => {
        const [word, ...rest] = code.split(" ");
        return word === first && (second === undefined || rest[0]?.split("¦").includes(second));
      });
      assert.ok(isNamed, path.join(" "));
    }
  });

  for (const shell of ["bash", "zsh"]) {
    const isHere = spawnSync("sh", ["-c", `command -v ${shell}`]).status === 0;
    test(`has commands that ${shell} passes on as they stand`, {
      skip: isHere ? false : `needs ${shell}`,
    }, () => {
      const lines = commandLines();
      assert.ok(lines.length > 15, lines.join("\n"));
      const folder = tempDir("readme");
      for (const line of lines) {
        // Its words, one a line; no file here fits a pattern that was left without quotes.
        const script = `dbbackup() { printf '%s\\n' "$@"; }\n${line}`;
        const args = shell === "zsh" ? ["-f", "-c"] : ["-c"];
        const { status, stdout, stderr } = spawnSync(shell, [...args, script], {
          cwd: folder,
          encoding: "utf8",
        });
        assert.equal(stderr, "", line);
        assert.equal(status, 0, line);
        assert.doesNotMatch(line, / #/, "a zsh that is typed into takes no remarks");
        const quoted = line.replace(/^dbbackup\s+/, "").split(/\s+/);
        const words = quoted.map((word) => word.replace(/^'(.*)'$/, "$1"));
        if (!line.includes(">")) assert.deepEqual(stdout.trimEnd().split("\n"), words, line);
      }
    });

    test(`has commands that dbbackup understands, typed into ${shell}`, {
      skip: isHere ? false : `needs ${shell}`,
    }, () => {
      for (const line of commandLines()) {
        const folder = tempDir("readme-typed");
        const script = line.replace(/^dbbackup/, `"$BINARY"`);
        const { stderr } = spawnSync(shell, [...shell === "zsh" ? ["-f"] : [], "-c", script], {
          cwd: folder,
          encoding: "utf8",
          env: {
            PATH: process.env["PATH"],
            HOME: folder,
            XDG_STATE_HOME: folder,
            AWS_EC2_METADATA_DISABLED: "true",
            BINARY: binary,
          },
          timeout: 60_000,
        });
        // There is no server, config or backup here; the line itself is right.
        const wrong = /usage\/(?:unknown-\w+|bad-\w+|unexpected-\w+|missing-(?:value|command))/;
        assert.doesNotMatch(stderr, wrong, line);
      }
    });
  }

  test("names each exit status in the order of what is worst", () => {
    const statuses = firstColumn("status").map(Number);
    assert.deepEqual(statuses, [...Object.values(exitStatuses), 0]);
  });
});
