import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { binary, fails, type Place, place, succeeds } from "../e2e/support/cli.ts";
import { makeSqlite, ordersOf } from "../e2e/support/sqlite.ts";
import { passwordCanary } from "../support/hardPassword.ts";
import { needs } from "../support/needs.ts";
import { postgres } from "../support/postgres.ts";
import { type Answers, commandOnTerminal, withoutTerminal } from "../support/terminal.ts";

/** Runs the binary on a terminal of its own; see {@link commandOnTerminal}. */
function onTerminal(at: Place, args: readonly string[], answers: Answers = []) {
  return commandOnTerminal(at, [binary, ...args], answers);
}

async function backedUp(name: string): Promise<Place> {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), 1);
  await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
  return at;
}

describe("on a terminal", { skip: withoutTerminal }, () => {
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

  test("a run that fails says why once", async () => {
    const at = place("once");
    const args = ["backup", "--from", "sqlite:missing.db", "--to", "./backups"];
    const { code, screen } = await onTerminal(at, args);
    assert.equal(code, 4, screen);
    assert.equal(screen.split("There is no database file").length - 1, 1, screen);
  });

  test("a restore asks, and changes nothing on any answer but y", async () => {
    const at = await backedUp("declined");
    const { code, screen } = await onTerminal(at, restore, [[/Go ahead\?/, "no\n"]]);
    assert.equal(code, 2, screen);
    assert.match(screen, /shop\.db → .*back\.db: will be created/, "the plan is shown first");
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

describe("the prompt for a password", { skip: withoutTerminal }, () => {
  needs("postgres15")("takes a hard one, shows nothing of it, and asks only people", async () => {
    const server = await postgres(15);
    const url = new URL(server.url(await server.createDatabase()));
    url.password = "";
    const at = place("prompt");
    const args = ["backup", "--from", url.href, "--to", "./backups"];
    const { code, screen } = await onTerminal(at, args, [[/Password/, `${server.password}\n`]]);
    assert.equal(code, 0, screen);
    assert.ok(!screen.includes(passwordCanary), screen);
    const wrong = await onTerminal(at, args, [[/Password/, "wrong-canary\n"]]);
    assert.equal(wrong.code, 4, wrong.screen);
    assert.match(wrong.screen, /connection\/authentication/);
    assert.doesNotMatch(wrong.screen, /wrong-canary/);
    await fails(at, args, "connection/authentication", 4);
  });
});

describe("without a terminal", () => {
  test("a restore that nobody can confirm is refused", async () => {
    const at = await backedUp("unconfirmed");
    const args = ["restore", "--from", "./backups", "--to", "sqlite:back.db"];
    await fails(at, args, "usage/confirmation", 2, { input: "y\n" });
    assert.ok(!existsSync(join(at.folder, "back.db")));
  });
});
