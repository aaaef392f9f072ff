import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { binary, fails, type Place, place } from "../e2e/support/cli.ts";
import { run } from "../support/run.ts";

/** Why a test cannot run here, or false. */
const without = (shell: string) =>
  spawnSync("sh", ["-c", `command -v ${shell}`]).status === 0 ? false : `needs ${shell}`;

async function inShell(at: Place, shell: string, args: string[], script: string): Promise<string> {
  const path = `${dirname(binary)}:${at.env["PATH"]}`;
  const { code, stdout, stderr } = await run(shell, [...args, script], {
    cwd: at.folder,
    env: { ...at.env, PATH: path, TERM: "dumb" },
  });
  assert.equal(code, 0, stderr);
  return stdout;
}

/** What bash offers for a command line whose last word is being typed. */
async function bashOffers(at: Place, ...words: string[]): Promise<string[]> {
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const script = `
    source <(dbbackup completions bash)
    complete -p dbbackup | grep -q -- '-F _dbbackup' || exit 1
    COMP_WORDS=(dbbackup ${quoted})
    COMP_CWORD=${words.length}
    _dbbackup
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return (await inShell(at, "bash", ["--norc", "-c"], script)).split("\n").filter((one) => one);
}

describe("completions", () => {
  test("of no shell say which there are", async () => {
    const { stderr } = await fails(place("no-shell"), ["completions"], "usage/missing-value", 2);
    assert.match(stderr, /eval "\$\(dbbackup completions bash\)"/);
  });

  test("of bash offer commands, options, values and files", async () => {
    const at = place("completions-bash");
    mkdirSync(join(at.folder, "backups"));
    writeFileSync(join(at.folder, "config.yaml"), "");
    assert.deepEqual(await bashOffers(at, "rest"), ["restore"]);
    assert.deepEqual(await bashOffers(at, "config", "s"), ["show", "schema"]);
    assert.deepEqual(await bashOffers(at, "list", "--fr"), ["--from"]);
    assert.deepEqual(await bashOffers(at, "backup", "--compression", "z"), ["zstd"]);
    assert.deepEqual(await bashOffers(at, "list", "--config", "conf"), ["config.yaml"]);
    assert.deepEqual(await bashOffers(at, "list", "--from", "back"), ["backups/"]);
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      `databases: { shop: { type: sqlite, path: shop.db } }
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop-daily: { database: shop, destinations: [disk] } }
`,
      { mode: 0o600 },
    );
    for (const command of ["backup", "restore", "list", "verify", "copy", "prune"]) {
      assert.deepEqual(await bashOffers(at, command, "shop"), ["shop-daily"], command);
    }
    assert.deepEqual(await bashOffers(at, "copy", "--to", "d"), ["disk"]);
    assert.deepEqual(await bashOffers(at, "restore", "--to", "sh"), ["shop"]);
    assert.deepEqual(await bashOffers(at, "backup", "--to", "b"), ["backups/"], "no files");
    assert.deepEqual(await bashOffers(at, "show", "k3v"), [], "no store is asked for ids");
    for (const command of ["backup", "list", "verify", "doctor"]) {
      assert.ok((await bashOffers(at, "")).includes(command), command);
    }
  });

  test("of fish offer the same", { skip: without("fish") }, async () => {
    const at = place("completions-fish");
    const script = `dbbackup completions fish | source
      complete -C 'dbbackup re'
      complete -C 'dbbackup backup --compression z'`;
    const offers = await inShell(at, "fish", ["--no-config", "-c"], script);
    assert.match(offers, /^restore\t/m);
    assert.match(offers, /^zstd$/m);
  });

  test("of zsh offer the same", { skip: without("zsh") }, async () => {
    const at = place("completions-zsh");
    // A terminal of its own, since zsh completes nowhere else; the tab key is pressed there.
    const script = `
      zmodload zsh/zpty
      zpty z zsh -f -i
      zpty -w z 'PS1="> "; autoload -Uz compinit; compinit -u -D; source <(dbbackup completions zsh); compdef _dbbackup dbbackup; echo rea""dy'
      while zpty -r z line; do [[ $line == *ready* ]] && break; done
      zpty -w -n z $'dbbackup backup --compression z\\t'
      zpty -r -m z line '*zstd*' && print -r -- "$line"`;
    assert.match(await inShell(at, "zsh", ["-f", "-c"], script), /--compression zstd/);
  });
});
