import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "../support/run.ts";
import { binary, fails, listed, type Place, place, succeeds } from "./support/cli.ts";

const examples = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "config");

// A database that restores beside, as PostgreSQL does, and whose result differs, or lacks something.
const config = `
import { existsSync, renameSync, writeFileSync } from "node:fs";
import { BackupError, defineConfig, defineConnector, local } from "dbbackup";
import { jsonLines } from "./plugins/json-lines.ts";

const inner = jsonLines({ path: "." }).kind;
const differing = defineConnector({
  ...inner,
  kind: "differing",
  schemes: ["differing"],
  fromUrl: (url) => inner.fromUrl(url.replace(/^differing:(\\/\\/[^@]*@)?/, "jsonl:")),
  async open(options, o) {
    const connector = await inner.open(options, o);
    const besideOf = (step, backupId) => step.to + "_restore_" + backupId;
    return {
      ...connector,
      async planRestore(chain, options, o) {
        const plan = await connector.planRestore(chain, options, o);
        const [step] = plan.steps;
        const adopts = besideOf(step, options.backupId);
        if (!options.isDifferenceAccepted || !existsSync(adopts)) return plan;
        return { ...plan, steps: [{ ...step, adopts }] };
      },
      async restore(chain, { steps }, options, o) {
        const [step] = steps;
        const { from, to, adopts, keptAs } = step;
        const name = besideOf(step, options.backupId);
        const result = { steps, warnings: [], followUps: [] };
        const differences = ["orders", "it's", "log"].map((one, index) => ({
          database: to, type: "table", name: one, isFailure: true,
          ...(index === 1 ? { problem: "count", expected: 3, found: 2 } : { problem: "missing" }),
        }));
        if (adopts === undefined) writeFileSync(name, "what was restored\\n");
        const left = [{ from, to, name }];
        if (options.isKeepGoing) {
          const failures = [{
            database: to, object: "index orders_at",
            message: "ERROR:  no function\\nLINE 1: create index", leaves: "The index is missing.",
          }];
          return { ...result, failures, left, differences: [] };
        }
        if (!options.isDifferenceAccepted) {
          throw new BackupError("restore/incomplete", "3 tables differ", {
            details: { differences, left },
          });
        }
        if (keptAs !== undefined) renameSync(to, keptAs);
        renameSync(name, to);
        return { ...result, failures: [], left: [], differences, isCompared: true };
      },
    };
  },
});

export default defineConfig({
  databases: { events: differing({ path: "events.jsonl" }) },
  destinations: { "the disk": local({ path: "backups" }) },
  jobs: { events: { database: "events", destinations: ["the disk"] } },
});
`;

async function backedUp(name: string): Promise<{ at: Place; id: string }> {
  const at = place(name);
  cpSync(join(examples, "plugins"), join(at.folder, "plugins"), { recursive: true });
  writeFileSync(join(at.folder, "backup.config.ts"), config, { mode: 0o600 });
  writeFileSync(join(at.folder, "events.jsonl"), '{"id":1}\n');
  await succeeds(at, ["run", "--once"]);
  const [backup] = await listed(at, "./backups");
  return { at, id: backup!.id };
}

/** Runs what was printed, as somebody would who pasted it into a shell. */
async function paste(at: Place, command: string) {
  const env = { ...at.env, PATH: `${dirname(binary)}:${at.env["PATH"]}` };
  const result = await run("sh", ["-c", command], { cwd: at.folder, env });
  assert.equal(result.code, 0, `${command}\n${result.stdout}\n${result.stderr}`);
  return result;
}

const lastLine = (text: string) => text.trim().split("\n").at(-1)!.trim();

describe("a restore whose result differs from the inventory", () => {
  test("tells every difference, where the data is, and the command that takes it", async () => {
    const { at, id } = await backedUp("differs");
    const given = ["restore", "events", "--overwrite", "--yes", "--only", "it's"];
    // This connector cannot restore a part, and is not asked to.
    const { stderr } = await fails(at, given, "restore/incomplete", 8);
    const beside = join(at.folder, `events.jsonl_restore_${id}`);
    assert.match(stderr, /^ {2}differs: table \S+events\.jsonl: orders is missing$/m);
    assert.match(stderr, /^ {2}differs: .*: it's has 2 rows, the backup says 3$/m);
    assert.match(stderr, /^ {2}differs: .*: log is missing$/m);
    assert.ok(
      stderr.includes(`is "${beside}"; "${join(at.folder, "events.jsonl")}" was not touched`),
    );
    assert.equal(readFileSync(join(at.folder, "events.jsonl"), "utf8"), '{"id":1}\n');
    const command = lastLine(stderr);
    assert.equal(
      command,
      `dbbackup restore ${id} --only 'it'\\''s' --overwrite --yes --accept-differences`,
    );

    const { stdout } = await paste(at, command);
    assert.match(
      stdout,
      /will be put in its place from \S+_restore_\w+, as an earlier restore .*left it/,
    );
    assert.match(stdout, /nothing is restored again; the old one will be kept as/);
    assert.match(stdout, /differs: table \S+: log is missing \(accepted\)/);
    assert.equal(readFileSync(join(at.folder, "events.jsonl"), "utf8"), "what was restored\n");
    assert.ok(!existsSync(beside));
  });

  test("names the command with all that was given, and without a password", async () => {
    const { at, id } = await backedUp("differs-elsewhere");
    const given = ["restore", "--config", "backup.config.ts", "--from", "the disk"];
    const to = "differing://app:canary-password@copy.jsonl";
    const flags = ["--to", to, "--restore-arg=--verbose", "--yes", "--json"];
    const { stdout, stderr } = await fails(at, [...given, ...flags], "restore/incomplete", 8);
    assert.doesNotMatch(stdout + stderr, /canary-password/);
    const { error } = JSON.parse(stdout);
    assert.equal(error.details.differences.length, 3);
    assert.equal(
      error.details.command,
      `dbbackup restore ${id} --config backup.config.ts --from 'the disk' ` +
        "--to differing://app@copy.jsonl --restore-arg=--verbose --yes --accept-differences",
    );
    assert.ok(error.hint.endsWith(error.details.command));
    await paste(at, error.details.command);
    assert.equal(readFileSync(join(at.folder, "copy.jsonl"), "utf8"), "what was restored\n");
  });
});

describe("a restore that keeps going", () => {
  test("lists what failed and what it left, ends with 8, and names the command", async () => {
    const { at, id } = await backedUp("keeps-going");
    const given = ["restore", "events", "--overwrite", "--yes", "--keep-going"];
    const { stdout, stderr } = await fails(at, given, "restore/statements-failed", 8);
    assert.match(stdout, /^beside +\S+_restore_\w+ \(for \S+, which was not touched\)$/m);
    assert.doesNotMatch(stdout, /nothing differs/);
    assert.match(stderr, /went on after 1 failed statement:/);
    assert.match(stderr, /: index orders_at: ERROR: {2}no function LINE 1: create index$/m);
    assert.match(stderr, /^ {4}The index is missing\.$/m);
    const command = lastLine(stderr);
    assert.equal(command, `dbbackup restore ${id} --overwrite --yes --accept-differences`);
    await paste(at, command);
    assert.equal(readFileSync(join(at.folder, "events.jsonl"), "utf8"), "what was restored\n");
  });

  test("tells machines the same", async () => {
    const { at, id } = await backedUp("keeps-going-json");
    const given = ["restore", "events", "--overwrite", "--yes", "--keep-going", "--json"];
    const { stdout } = await fails(at, given, "restore/statements-failed", 8);
    const { result, error } = JSON.parse(stdout);
    assert.equal(result.failures[0].object, "index orders_at");
    assert.ok(result.left[0].name.endsWith(`_restore_${id}`));
    assert.equal(result.isCompared, false);
    assert.equal(error.exitStatus, 8);
    assert.match(error.details.command, /--accept-differences$/);
  });
});
