import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { needs } from "../support/needs.ts";
import { output, run } from "../support/run.ts";
import { giveTo, serverUser } from "../support/user.ts";
import { tempDir, tmpfs } from "../support/workspace.ts";
import { binary, fails, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite } from "./support/sqlite.ts";

const asRoot = needs("root");

/** A place with a small database. */
async function placeWithDatabase(name: string) {
  const at = place(name);
  await makeSqlite(join(at.folder, "app.db"));
  return at;
}

const backup = ["backup", "--from", "sqlite:app.db", "--to", "./backups"];

describe("a temporary folder", () => {
  test("that is missing, or no folder, is told with what to do", async () => {
    const at = await placeWithDatabase("no-temp");
    const missing = join(at.folder, "no-such");
    const { stderr } = await fails(at, backup, "storage/temp-dir", 6, {
      env: { TMPDIR: missing },
    });
    assert.match(stderr, /Cannot use the temporary folder ".*no-such": it does not exist/);
    assert.match(stderr, /hint: .*tempDir.*TMPDIR/);
    await fails(at, backup, "storage/temp-dir", 6, { env: { TMPDIR: join(at.folder, "app.db") } });
  });

  asRoot("that is full is told so, before anything is written", async () => {
    const at = await placeWithDatabase("full-temp");
    const folder = tmpfs(64 * 1024)!;
    writeFileSync(join(folder, "fill"), new Uint8Array(60 * 1024));
    const { stderr } = await fails(at, backup, "storage/no-temp-space", 6, {
      env: { TMPDIR: folder },
    });
    assert.match(stderr, /hint: Free some space/);
    assert.deepEqual(readdirSync(folder), ["fill"]);
  });

  test("is cleared of what a killed run left there, by whichever command comes next", async () => {
    const at = await placeWithDatabase("leftover-temp");
    await succeeds(at, backup);
    const left = join(at.env["TMPDIR"]!, "dbbackup-tmp-0123456789abcdef");
    mkdirSync(left);
    writeFileSync(join(left, "copy.db"), "rows");
    await output("touch", ["-d", "10 minutes ago", left]);
    await succeeds(at, ["list", "--from", "./backups"]);
    assert.deepEqual(readdirSync(at.env["TMPDIR"]!), []);
  });
});

describe("the folder of locks", () => {
  /** The environment of a command that can lock only in the temporary folder. */
  async function withoutState(name: string): Promise<Place> {
    const at = await placeWithDatabase(name);
    writeFileSync(join(at.folder, "file"), "");
    return { ...at, env: { ...at.env, XDG_STATE_HOME: join(at.folder, "file") } };
  }

  test("is the user's own in the temporary folder where the state folder cannot be used", async () => {
    const at = await withoutState("no-state");
    const { stderr } = await succeeds(at, backup);
    // Once, however many locks a run takes.
    assert.equal(stderr.split("so locks are in the temporary folder").length, 2, stderr);
    assert.equal(stderr.split("Cannot open the record of runs").length, 2, stderr);
    assert.deepEqual(readdirSync(at.env["TMPDIR"]!), [`dbbackup-locks-${process.geteuid!()}`]);
  });

  test("is no link, whoever made it", async () => {
    const at = await withoutState("locks-link");
    const elsewhere = tempDir("elsewhere");
    symlinkSync(elsewhere, join(at.env["TMPDIR"]!, `dbbackup-locks-${process.geteuid!()}`));
    await fails(at, backup, "config/foreign-folder", 3);
    assert.deepEqual(readdirSync(elsewhere), []);
  });

  asRoot("of root is not one that another user has prepared", async () => {
    const at = await withoutState("locks-trap");
    const trap = join(at.env["TMPDIR"]!, "dbbackup-locks-0");
    mkdirSync(trap);
    chmodSync(trap, 0o777);
    await giveTo(serverUser(), trap);
    const { stderr } = await fails(at, backup, "config/foreign-folder", 3);
    assert.match(stderr, /dbbackup-locks-0": it belongs to user \d+/);
    assert.match(stderr, /hint: .*TMPDIR/);
    assert.deepEqual(readdirSync(trap), []);
  });

  test("that can be made nowhere is a fault of the set-up, not a lock that somebody holds", async () => {
    const at = await withoutState("no-locks");
    await fails(at, backup, "config/lock-folder", 3, { env: { TMPDIR: join(at.folder, "file") } });
  });
});

asRoot(
  "a full disk under the state folder or the log stops no backup; under a destination it does",
  async () => {
    const at = await placeWithDatabase("full-disks");
    const folder = tmpfs(64 * 1024)!;
    writeFileSync(join(folder, "fill"), new Uint8Array(64 * 1024));
    const env = { XDG_STATE_HOME: folder };
    const { stderr } = await succeeds(at, backup, { env });
    assert.match(stderr, /Cannot open the record of runs in .*full.*The backup goes on without/);
    await succeeds(at, ["list", "--from", "./backups"], { env });
    await succeeds(at, ["verify", "--deep", "--from", "./backups"], { env });
    const logged = await succeeds(at, [...backup, "--log-file", join(folder, "log")]);
    assert.match(logged.stderr, /^warning: Cannot write the log file ".*log": ENOSPC/);
    assert.match(
      logged.stderr,
      /Run \w+ of job \w+ finished successfully/,
      "what the file lacks is told",
    );
    assert.equal(logged.stderr.match(/Cannot write the log file/g)?.length, 1);
    const to = join(folder, "backups");
    const full = await fails(at, [...backup.slice(0, -1), to], "storage/full", 6);
    assert.match(full.stderr, /no space left \(the file system has 64\.0 KiB\)/);
    assert.match(full.stderr, /hint: Free some space, prune/);
  },
);

asRoot(
  "a full disk leaves no half of a config, and the one that was there; doctor says that it is full",
  async () => {
    const at = await placeWithDatabase("full-config");
    const folder = tmpfs(64 * 1024)!;
    const old = join(folder, "backup.config.ts");
    writeFileSync(join(folder, "fill"), new Uint8Array(64 * 1024));
    await fails(at, ["config", "init", "--dir", folder], "config/unwritable", 3);
    assert.deepEqual(readdirSync(folder), ["fill"]);
    rmSync(join(folder, "fill"));
    writeFileSync(old, "// mine");
    writeFileSync(join(folder, "fill"), new Uint8Array(60 * 1024));
    await fails(at, ["config", "init", "--dir", folder, "--force"], "config/unwritable", 3);
    assert.equal(readFileSync(old, "utf8"), "// mine");
    const { stdout } = await succeeds(at, ["doctor", "--to", "./b"], { env: { TMPDIR: folder } });
    assert.match(stdout, /folder tempDir\n +warning +.* is full, 0 B free/);
  },
);

asRoot.describe("a user whom the system does not know, without any variable", () => {
  /** Runs the binary as a bare number, as containers do. */
  async function bare(folder: string, args: readonly string[], env: Record<string, string> = {}) {
    // The binary lies where that user may not look.
    const copy = join(folder, "dbbackup");
    await output("cp", [binary, copy]);
    await giveTo({ name: "", uid: 54_321, gid: 54_321 }, folder, true);
    try {
      return await run("setpriv", [
        ...["--reuid=54321", "--regid=54321", "--clear-groups", "env", "-i"],
        ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
        ...[copy, ...args],
      ], { cwd: folder });
    } finally {
      rmSync(copy);
    }
  }

  test("backs up and lists", async () => {
    const folder = tempDir("bare");
    await makeSqlite(join(folder, "app.db"));
    const made = await bare(folder, backup, { TMPDIR: folder });
    assert.equal(made.code, 0, made.stderr);
    const listed = await bare(folder, ["list", "--from", "./backups"], { TMPDIR: folder });
    assert.match(listed.stdout, /app/);
  });

  test("is told of a config that it may not see, and of one that it may not read", async () => {
    const folder = tempDir("bare");
    const hidden = tempDir("hidden");
    writeFileSync(join(hidden, "backup.config.yaml"), "", { mode: 0o600 });
    chmodSync(hidden, 0o700);
    const args = ["list", "--config", join(hidden, "backup.config.yaml")];
    const unseen = await bare(folder, args);
    assert.match(unseen.stderr, /Cannot look at the config .*: EACCES \(config\/unreadable\)/);
    chmodSync(hidden, 0o711);
    const unread = await bare(folder, args);
    assert.match(unread.stderr, /Cannot read the config .*: permission denied/);
    assert.deepEqual([unseen.code, unread.code], [3, 3]);
  });

  test("is told that no config was found, and that PostgreSQL needs a user", async () => {
    const folder = tempDir("bare");
    const listed = await bare(folder, ["list"]);
    assert.match(listed.stderr, /\(config\/not-found\)/);
    const made = await bare(folder, ["backup", "--from", "postgres://localhost/x", "--to", "./b"]);
    assert.match(made.stderr, /user 54321 of this system, .*\(config\/no-user\)/);
    assert.match(made.stderr, /hint: .*postgres:\/\/USER@HOST\/DB/);
    assert.equal(made.code, 3);
  });
});
