import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { shellQuote } from "../../src/core/text.ts";
import { binary, type Place, place, succeeds } from "../e2e/support/cli.ts";
import { makeSqlite, ordersOf } from "../e2e/support/sqlite.ts";
import { killAtEnd } from "../support/workspace.ts";

const skip = spawnSync("sh", ["-c", "command -v script"]).status === 0
  ? false
  : "needs script (util-linux)";

/**
 * Runs the binary on a terminal of its own, made by `script`.
 *
 * @param answers what is typed, each once its question is on the screen
 */
function onTerminal(
  at: Place,
  args: readonly string[],
  answers: readonly [question: RegExp, answer: string][] = [],
): Promise<{ code: number | null; screen: string }> {
  const command = [binary, ...args].map(shellQuote).join(" ");
  const child = spawn("script", ["-q", "-e", "-c", command, "/dev/null"], {
    cwd: at.folder,
    env: { ...at.env, TERM: "xterm" } as NodeJS.ProcessEnv,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const forget = killAtEnd(child.pid!);
  const left = [...answers];
  let screen = "";
  let seen = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    screen += text;
    const [next] = left;
    if (next === undefined || !next[0].test(screen.slice(seen))) return;
    left.shift();
    seen = screen.length;
    child.stdin.write(`${next[1]}`);
  });
  return new Promise((resolve) =>
    child.once("close", (code) => {
      forget();
      resolve({ code, screen });
    })
  );
}

async function backedUp(name: string): Promise<Place> {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), 1);
  await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
  return at;
}

describe("on a terminal", { skip }, () => {
  const restore = ["restore", "--from", "./backups", "--to", "sqlite:back.db"];

  test("a backup shows its stage, bytes, rate and time, and takes the line away", async () => {
    const at = place("progress");
    makeSqlite(join(at.folder, "shop.db"), 40);
    const args = ["backup", "--from", "sqlite:shop.db", "--to", "./backups"];
    const { code, screen } = await onTerminal(at, args);
    assert.equal(code, 0, screen);
    assert.match(screen, /shop: dump {2}[\d.]+ \w+ raw .*\/s {2}[\d.]+s/);
    assert.ok(screen.includes("\r\x1b[K"), "the line is rewritten");
    assert.ok(screen.includes("\x1b[32mbacked up\x1b[0m"), screen);
  });

  test("a restore asks, and changes nothing on any answer but y", async () => {
    const at = await backedUp("declined");
    const { code, screen } = await onTerminal(at, restore, [[/Go ahead\?/, "no\n"]]);
    assert.equal(code, 2, screen);
    assert.match(screen, /shop\.db → .*back\.db: is created/, "the plan is shown first");
    assert.match(screen, /usage\/declined/);
    assert.ok(!existsSync(join(at.folder, "back.db")));
  });

  test("a restore goes ahead on y", async () => {
    const at = await backedUp("confirmed");
    const { code, screen } = await onTerminal(at, restore, [[/Go ahead\?/, "y\n"]]);
    assert.equal(code, 0, screen);
    assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
  });

  test("ctrl-C at the question ends with 130 and changes nothing", async () => {
    const at = await backedUp("ctrl-c");
    const { code, screen } = await onTerminal(at, restore, [[/Go ahead\?/, "\x03"]]);
    assert.equal(code, 130, screen);
    assert.match(screen, /interrupted\/signal/);
    assert.ok(!existsSync(join(at.folder, "back.db")));
  });
});

describe("without a terminal", () => {
  test("a restore that nobody can confirm is refused", async () => {
    const at = await backedUp("unconfirmed");
    const { fails } = await import("../e2e/support/cli.ts");
    const args = ["restore", "--from", "./backups", "--to", "sqlite:back.db"];
    await fails(at, args, "usage/confirmation", 2, { input: "y\n" });
    assert.ok(!existsSync(join(at.folder, "back.db")));
  });
});
