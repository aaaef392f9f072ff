import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fails, type Place, place, succeeds } from "./support/cli.ts";

const support = join(dirname(dirname(fileURLToPath(import.meta.url))), "support");

/** A config whose database is a plugin that has increments, and two destinations. */
function chains(name: string, state = ""): Place & { write(atMs: number): void; lines(): string } {
  const at = place(name);
  const source = readFileSync(join(support, "numberedLines.ts"), "utf8")
    .replaceAll(/"(?:\.\.\/\.\.\/src\/[^"]+|zod)"/g, '"dbbackup"');
  writeFileSync(join(at.folder, "lines.ts"), source);
  const path = join(at.folder, "shop.lines");
  writeFileSync(
    join(at.folder, "backup.config.ts"),
    `import { defineConfig, defineConnector, incremental, local } from "dbbackup";
import { linesKind, linesState } from "./lines.ts";
const lines = defineConnector(linesKind(linesState({ ${state} })));
export default defineConfig({
  databases: { shop: lines({ path: ${JSON.stringify(path)} }) },
  destinations: { a: local({ path: "a" }), b: local({ path: "b" }) },
  defaults: { destinations: ["a", "b"] },
  jobs: { shop: { database: "shop", strategy: incremental({ fullEvery: "7d" }) } },
});
`,
  );
  let count = 0;
  const write = (atMs: number) => appendFileSync(path, `${count++} ${atMs} change\n`);
  return { ...at, write, lines: () => readFileSync(path, "utf8") };
}

// No data of a backup is older than its run.
const startMs = Math.ceil(Date.now() / 60_000 + 5) * 60_000;
const idIn = (stdout: string) => / as (\w{8}),/.exec(stdout)![1]!;
const timeOf = (minutes: number) => new Date(startMs + minutes * 60_000).toISOString();

describe("a chain in the compiled binary", () => {
  test("is taken, listed, shown, verified, healed, restored to a moment and by hand", async () => {
    const at = chains("changes");
    at.write(startMs);
    const first = await succeeds(at, ["backup", "shop"]);
    assert.match(first.stdout, /full: there is no full backup to build on yet/);
    let newest = "";
    for (let minute = 1; minute <= 2; minute++) {
      at.write(startMs + minute * 60_000);
      const { stdout } = await succeeds(at, ["backup", "shop"]);
      assert.match(stdout, /incremental: the changes since the last backup, \w{8}/);
      newest = idIn(stdout);
    }
    const job = join(at.folder, "b", "shop");
    const folderOf = (id: string) =>
      readdirSync(job).find((name) => name.includes(`_incr_${id}_`))!;
    rmSync(join(job, folderOf(newest)), { recursive: true });
    const dry = await succeeds(at, ["backup", "shop", "--dry-run"]);
    assert.match(dry.stdout, /^would back up {2}shop, incremental on \w{8}$/m);
    assert.match(dry.stdout, /^ {2}"b" would first be given what it lacks: \w{8}$/m);
    at.write(startMs + 3 * 60_000);
    newest = idIn((await succeeds(at, ["backup", "shop"])).stdout);
    rmSync(join(at.folder, "a"), { recursive: true });
    await succeeds(at, ["verify", "--deep", "--from", "b"]);

    const to = (name: string) => ["--from", "b", "--to", `lines:${join(at.folder, name)}`, "--yes"];
    const config = ["--config", "backup.config.ts"];
    await succeeds(at, ["restore", "shop", ...to("back.lines"), ...config]);
    assert.equal(readFileSync(join(at.folder, "back.lines"), "utf8"), at.lines());
    const moment = ["--at", timeOf(2.5)];
    const plan = await succeeds(at, ["restore", "shop", ...to("then.lines"), ...config, ...moment]);
    const shown = timeOf(2.5).replace("T", " ").replace(".000Z", "Z");
    assert.ok(plan.stdout.includes(`data of   ${shown}`), plan.stdout);
    const then = at.lines().split("\n").slice(0, 3).map((line) => `${line}\n`).join("");
    assert.equal(readFileSync(join(at.folder, "then.lines"), "utf8"), then);
    const late = ["restore", "shop", ...to("x.lines"), ...config, "--at", timeOf(59)];
    const { stderr } = await fails(at, late, "usage/no-such-moment", 2);
    assert.ok(stderr.includes(`The nearest moment before it is ${timeOf(3)} (`), stderr);

    const [start, end] = [timeOf(0), timeOf(3)].map((time) =>
      time.replace("T", " ").replace(".000Z", "Z")
    );
    const window = `any moment from ${start} to ${end}`;
    const listed = await succeeds(at, ["list", "--from", "b"]);
    assert.match(listed.stdout, /\nCHAIN +JOB +RESTORES TO\n\w{8} +shop +any moment/);
    assert.ok(listed.stdout.includes(window), listed.stdout);
    const shown4 = await succeeds(at, ["show", newest, "--from", "b"]);
    assert.ok(shown4.stdout.includes(`restores to    ${window}`), shown4.stdout);
    const two = ["--at-position", "2@1"];
    const byLine = await succeeds(at, ["restore", "shop", ...to("two.lines"), ...config, ...two]);
    assert.match(byLine.stdout, /^ {2}moment {4}up to and with position 2@1$/m);
    const firstTwo = at.lines().split("\n").slice(0, 2).map((line) => `${line}\n`).join("");
    assert.equal(readFileSync(join(at.folder, "two.lines"), "utf8"), firstTwo);
    const beyond = ["restore", "shop", ...to("x.lines"), ...config, "--at-position"];
    const none = await fails(at, [...beyond, "99@1"], "usage/no-such-position", 2);
    assert.match(none.stderr, /No backup reaches the position 99@1/);
    assert.match(none.stderr, /The nearest where a backup ends: 4@1 \(\w{8}\)\./);
    await fails(at, [...beyond, "yesterday"], "usage/bad-position", 2);
    await fails(at, [...beyond, "1@1", ...moment], "usage/two-moments", 2);

    const last = join(job, folderOf(newest));
    await promisify(execFile)("sh", ["RESTORE.txt"], { cwd: last });
    assert.equal(readFileSync(join(last, "restored.lines"), "utf8"), at.lines());
  });

  test("that cannot go on begins anew, and run, list and show say why", async () => {
    const at = chains("changes-anew");
    at.write(startMs);
    at.write(startMs + 1);
    await succeeds(at, ["backup", "shop"]);
    const path = join(at.folder, "shop.lines");
    writeFileSync(path, at.lines().split("\n").slice(0, 1).join("") + "\n");
    const why = /the file has 1 lines, and the backup 2/;
    const { stdout } = await succeeds(at, ["backup", "shop"]);
    assert.match(stdout, /^ {2}full instead of incremental: the file has 1 lines/m);
    const listed = await succeeds(at, ["list"]);
    assert.match(listed.stdout, /full .* new chain$/m);
    const id = idIn(stdout);
    const shown = await succeeds(at, ["show", id]);
    assert.match(shown.stdout, /^strategy +incremental; full because the file has 1 lines/m);
    assert.match(shown.stdout, why);
  });
});

describe("dbbackup reset", () => {
  test("says what it dropped, or that there is nothing", async () => {
    const at = chains("changes-reset", 'kept: ["bookmark"]');
    at.write(startMs);
    const { stdout } = await succeeds(at, ["reset", "shop"]);
    assert.match(stdout, /^dropped bookmark of shop at lines:\/.*shop\.lines$/m);
    const plain = chains("changes-reset-none");
    const nothing = await succeeds(plain, ["reset", "shop"]);
    assert.match(nothing.stdout, /^Nothing to do: lines:.* keeps nothing for a job$/m);
    await fails(plain, ["reset", "shpo"], "usage/unknown-job", 2);
  });
});

describe("a database that has full backups only", () => {
  test("refuses a strategy that needs others, and --kind", async () => {
    const at = chains("changes-none", 'kinds: ["full"]');
    at.write(startMs);
    const { stderr } = await fails(at, ["config", "check"], "config/invalid", 3);
    assert.match(stderr, /jobs\.shop\.strategy: found "incremental", and Lines has no incremental/);
    const config = join(at.folder, "backup.config.ts");
    writeFileSync(config, readFileSync(config, "utf8").replace(/, strategy: incr.*?"7d" }\)/, ""));
    await fails(at, ["backup", "shop", "--kind", "incremental"], "usage/kind-unsupported", 2);
    const { stdout } = await succeeds(at, ["backup", "shop", "--dry-run"]);
    assert.match(stdout, /^would back up {2}shop, full\n {2}the job's strategy is full$/m);
    assert.ok(!readdirSync(at.folder).includes("a"), "nothing was made");
  });
});
