import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { commandOnTerminal, withoutTerminal } from "../support/terminal.ts";
import { binary, fails, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite } from "./support/sqlite.ts";

async function backedUp(name: string): Promise<Place> {
  const at = place(name);
  makeSqlite(join(at.folder, "shop.db"), 1);
  await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", "./backups"]);
  return at;
}

const from = ["--from", "./backups"];

describe("what is typed", () => {
  test("may be a time as list prints it, which names that very backup", async () => {
    const at = await backedUp("typed-time");
    const { stdout } = await succeeds(at, ["list", ...from]);
    const [, time, id] = /^(\d{4}-\S+ \S+Z) {2}(\w+)/m.exec(stdout)!;
    const args = ["restore", ...from, "--to", "sqlite:back.db", "--dry-run"];
    const plan = await succeeds(at, [...args, "--at", time!]);
    assert.match(plan.stdout, new RegExp(`Restore backup ${id}`));
    assert.match(plan.stdout, /back\.db: will be created/);
  });

  test("to look at a restore onto a full target gives the plan, and what would stop it", async () => {
    const at = await backedUp("typed-dry");
    const args = ["restore", ...from, "--to", "sqlite:shop.db"];
    const dry = await fails(at, [...args, "--dry-run"], "restore/not-empty", 8);
    assert.match(dry.stdout, /would be refused[^]*will be restored under a temporary name, then/);
    assert.match(
      dry.stderr,
      /^error: ".*shop\.db" exists and is not empty \(restore\/not-empty\)/m,
    );
    const real = await fails(at, [...args, "--yes"], "restore/not-empty", 8);
    assert.match(real.stderr, /exists and is not empty/);
    const { json } = await fails(at, [...args, "--dry-run", "--json"], "restore/not-empty", 8);
    const told = json() as { plan: { steps: unknown[] }; isRefused: boolean };
    assert.deepEqual([told.plan.steps.length, told.isRefused], [1, true]);
  });
});

describe("a run in a pipe", () => {
  test("says twice at most why its one destination failed: in the log, and as the error", async () => {
    const at = place("typed-once");
    makeSqlite(join(at.folder, "shop.db"), 1);
    const args = ["backup", "--from", "sqlite:shop.db", "--to", "./no/such"];
    const { stdout, stderr } = await fails(at, args, "storage/not-found", 6);
    assert.equal(`${stdout}${stderr}`.split("does not exist").length - 1, 2, stderr);
    assert.match(stderr, /failed and was excluded from this run: .* \(storage\/not-found\)/);
    assert.match(stderr, /Run \w+ of job shop failed \(storage\/not-found\)/);
  });

  test("says why one of several destinations failed where it happens, and in the summary", async () => {
    const at = await backedUp("typed-partial");
    const args = ["backup", "--from", "sqlite:shop.db", "--to", "./backups", "--to", "./no/such"];
    const { stdout, stderr } = await fails(at, args, "partial/destinations", 9);
    const reason = "does not exist";
    assert.deepEqual([stdout, stderr].map((text) => text.split(reason).length - 1), [1, 1]);
    assert.match(stderr, /^error: Backup \w+ is missing at 1 of 2 destinations: "\S+" \(partial/m);
    // Mail of a quiet run has nothing but its error, where the log is a file.
    const quiet = await fails(at, [...args, "--quiet", "--log-file", "log"], "partial/", 9);
    assert.equal(quiet.stderr.split(reason).length - 1, 1, quiet.stderr);
  });

  test("has a log at level info, which a person at a terminal needs only when it is asked for", {
    skip: withoutTerminal,
  }, async () => {
    const at = await backedUp("typed-log");
    const config = (log: string) =>
      writeFileSync(
        join(at.folder, "backup.config.yaml"),
        `databases: { shop: { type: sqlite, path: ./shop.db } }
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk] } }
${log}`,
      );
    config("");
    assert.match(
      (await succeeds(at, ["backup", "shop"])).stderr,
      /info +Run \w+ of job shop started/,
    );
    const backup = () => commandOnTerminal(at, [binary, "backup", "shop"]);
    assert.doesNotMatch((await backup()).screen, /info +Run/);
    config("log: { level: info }\n");
    assert.match((await backup()).screen, /info +Run \w+ of job shop started/);
  });
});

describe("a config", () => {
  test("of another ending is no TypeScript", async () => {
    const at = place("typed-conf");
    writeFileSync(join(at.folder, "backup.conf"), "[shop]\nurl = x\n");
    const args = ["config", "check", "--config", "backup.conf"];
    const { stderr } = await fails(at, args, "config/unknown-format", 3);
    assert.match(stderr, /backup\.conf" is: a config is TypeScript or YAML[^]*\.yaml or \.yml/);
  });

  test("with a password that others can read is warned about, and runs", async () => {
    const at = place("typed-plain");
    const path = join(at.folder, "backup.config.yaml");
    writeFileSync(
      path,
      `databases:
  shop: { type: postgres, url: "postgres://app:hunter22canary@localhost/shop" }
  blog: { type: mysql, host: localhost, user: app, password: "\${BLOG}", database: blog }
destinations:
  disk: { type: local, path: ./backups }
  cloud: { type: s3, bucket: acme, accessKeyId: AK, secretAccessKey: hunter23canary }
jobs: { shop: { database: shop, destinations: [disk] } }
`,
    );
    chmodSync(path, 0o644);
    const { stdout, stderr } = await succeeds(at, ["config", "show"]);
    assert.match(
      stderr,
      /contains a password \(databases\.shop\.url, .*destinations\.cloud\.secretAccessKey\) and can be/,
    );
    assert.doesNotMatch(stderr, /blog/);
    assert.doesNotMatch(stdout + stderr, /hunter2/);
    assert.match(stderr, /chmod 600 /);
    chmodSync(path, 0o600);
    assert.doesNotMatch((await succeeds(at, ["config", "show"])).stderr, /contains a password/);
  });
});
