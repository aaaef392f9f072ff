import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { needs } from "../support/needs.ts";
import { output, run } from "../support/run.ts";
import { commandOnTerminal, withoutTerminal } from "../support/terminal.ts";
import { binary, dbbackup, fails, filesBelow, type Place, place, succeeds } from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

interface Pair {
  readonly path: string;
  readonly recipient: string;
  readonly identity: string;
}

async function newPair(at: Place, name: string): Promise<Pair> {
  const made = await succeeds(at, ["key", "new", "--output", name, "--json"]);
  const { recipient } = made.json() as { recipient: string };
  const path = join(at.folder, name);
  const identity = /^AGE-SECRET-KEY-1\w+$/m.exec(readFileSync(path, "utf8"))![0];
  return { path, recipient, identity };
}

const passphrase = "c4n4ry correct horse battery staple";
const backup = ["backup", "--from", "sqlite:shop.db", "--to", "./backups"];
const restore = ["restore", "--from", "./backups", "--to", "sqlite:back.db", "--yes"];
const verify = ["verify", "--from", "./backups", "--deep", "--json"];

function shop(name: string, env: Record<string, string> = {}): Place {
  const at = place(name, env);
  makeSqlite(join(at.folder, "shop.db"), 1);
  return at;
}

/** A place with one backup to two recipients, and a third pair that does not open it. */
async function encrypted(name: string) {
  const at = shop(name);
  const [own, offsite, foreign] = [
    await newPair(at, "own.txt"),
    await newPair(at, "offsite.txt"),
    await newPair(at, "foreign.txt"),
  ];
  await succeeds(at, [
    ...backup,
    ...["--recipient", own.recipient, "--recipient", offsite.recipient],
  ]);
  const folder = dirname(join(
    at.folder,
    "backups",
    filesBelow(join(at.folder, "backups"))
      .find((file) => file.endsWith("manifest.json"))!,
  ));
  return { at, own, offsite, foreign, folder };
}

interface VerifyJson {
  readonly status: string;
  readonly checks: string[];
  readonly problems: { code: string }[];
  readonly notes: string[];
  readonly mark: { type: string } | null;
}

function assertRestored(at: Place): void {
  assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
}

describe("a backup that is encrypted to recipients", () => {
  test("is listed, shown and verified without any key", async () => {
    const { at, own, offsite, folder } = await encrypted("keyless");
    assert.deepEqual(
      filesBelow(folder).map((name) => name.replace(/[0-9a-f]{64}(?:_[a-z]\d+)+/, "SHA256_FACTS")),
      [
        "RESTORE.txt",
        "dump-001-shop.sqlite.gz.age",
        "inventory.json.gz.age",
        "manifest-SHA256_FACTS.sha256",
        "manifest.json",
      ],
    );
    const [listed] = (await succeeds(at, ["list", "--from", "./backups", "--json"]))
      .json() as { id: string; encryption: unknown }[];
    assert.deepEqual(listed!.encryption, { recipients: [own.recipient, offsite.recipient] });
    const shown = await succeeds(at, ["show", "--from", "./backups", listed!.id]);
    assert.match(shown.stdout, new RegExp(`encrypted to ${own.recipient}, ${offsite.recipient}`));

    const [result] = (await succeeds(at, verify)).json() as VerifyJson[];
    assert.equal(result!.status, "good");
    assert.deepEqual(result!.checks, ["sizes", "digests"]);
    assert.equal(result!.notes.length, 1);
    for (const note of result!.notes) assert.ok(note.includes(own.recipient), note);
    assert.equal(result!.mark?.type, "verified");
  });

  test("is looked into with a key", async () => {
    const { at, offsite } = await encrypted("with-key");
    const [result] = (await succeeds(at, [...verify, "--identity", offsite.path]))
      .json() as VerifyJson[];
    assert.equal(result!.status, "good");
    assert.ok(result!.checks.includes("structure"), result!.checks.join());
    assert.deepEqual(result!.notes, []);
  });

  test("is known as damaged without a key, too, and stays marked until a key was there", async () => {
    const { at, own, folder } = await encrypted("damaged");
    const dump = join(folder, "dump-001-shop.sqlite.gz.age");
    const good = readFileSync(dump);
    const flipped = Uint8Array.from(good);
    flipped[flipped.byteLength >> 1]! ^= 1;
    writeFileSync(dump, flipped);
    for (const keys of [[], ["--identity", own.path]]) {
      const result = await fails(at, [...verify, ...keys], "verification/damaged", 7);
      const [{ status, problems, mark }] = result.json() as [VerifyJson];
      assert.equal(status, "damaged");
      assert.match(problems[0]!.code, /^verification\/(digest|corrupt)$/);
      assert.equal(mark?.type, "damaged");
    }
    await fails(at, [...restore, "--identity", own.path], "storage/no-backup", 6);
    const named = [...restore, dirname(dump).split("_")[2]!, "--identity", own.path];
    await fails(at, named, "verification/", 7);
    assert.ok(!existsSync(join(at.folder, "back.db")));

    writeFileSync(dump, good);
    const [keyless] = (await succeeds(at, verify)).json() as VerifyJson[];
    assert.equal(keyless!.mark, null);
    assert.match(keyless!.notes.at(-1)!, /stays marked as damaged/);
    const [looked] = (await succeeds(at, [...verify, "--identity", own.path]))
      .json() as VerifyJson[];
    assert.equal(looked!.mark?.type, "verified");
  });

  test("is restored with the right one of several identities, however they are given", async () => {
    const { at, own, offsite, foreign } = await encrypted("restored");
    await succeeds(at, [...restore, "--identity", foreign.path, "--identity", offsite.path]);
    assertRestored(at);
    for (const value of ["own.txt", own.identity]) {
      await succeeds(at, [...restore, "--overwrite"], { env: { DBBACKUP_IDENTITY: value } });
      assertRestored(at);
    }
  });

  test("is not restored without the key; it says for whom it is, and touches nothing", async () => {
    const { at, own, offsite, foreign } = await encrypted("refused");
    const without = await fails(at, restore, "config/identity", 3);
    assert.ok(without.stderr.includes(`${own.recipient}, ${offsite.recipient}`), without.stderr);
    assert.match(without.stderr, /--identity FILE/);
    const wrong = await fails(at, [...restore, "--identity", foreign.path], "config/identity", 3);
    assert.ok(wrong.stderr.includes(`given is of ${foreign.recipient}`), wrong.stderr);
    await fails(at, [...restore, "--identity", "no.txt"], "config/secret-file", 3);
    writeFileSync(join(at.folder, "public.txt"), `${own.recipient}\n`);
    const half = await fails(
      at,
      [...restore, "--identity", "public.txt"],
      "config/identity-file",
      3,
    );
    assert.match(half.stderr, /public half/);
    assert.ok(!existsSync(join(at.folder, "back.db")));
  });

  test("goes to every destination as the same bytes", async () => {
    const at = shop("two-places");
    const { recipient } = await newPair(at, "own.txt");
    writeFileSync(join(at.folder, "team.txt"), `# the team\n${recipient}\n`);
    const small = ["--volume-size", "300KiB", "--recipients-file", "team.txt"];
    await succeeds(at, [...backup, "--to", "./second", ...small]);
    const [first, second] = [join(at.folder, "backups"), join(at.folder, "second")];
    assert.deepEqual(filesBelow(first), filesBelow(second));
    assert.ok(filesBelow(first).some((file) => file.endsWith(".age.v002")));
    for (const file of filesBelow(first)) {
      assert.ok(readFileSync(join(first, file)).equals(readFileSync(join(second, file))), file);
    }
    await succeeds(at, [...restore, "--identity", "own.txt"]);
    assertRestored(at);
  });

  test("must name real recipients, and not a passphrase besides", async () => {
    const at = shop("wrong-flags");
    const { recipient, identity, path } = await newPair(at, "own.txt");
    const bad = [...backup, "--recipient", `${recipient}q`];
    await fails(at, bad, "config/recipient", 3);
    const secret = await fails(at, [...backup, "--recipients-file", path], "config/recipient", 3);
    assert.ok(!secret.stderr.includes(identity), secret.stderr);
    await fails(
      at,
      [...backup, "--recipient", recipient, "--passphrase-env", "X"],
      "usage/encryption",
      2,
    );
    assert.deepEqual(filesBelow(join(at.folder, "backups")), []);
  });
});

needs("age").describe("age itself", () => {
  test("follows RESTORE.txt as written, once AGE_IDENTITY names the key", async () => {
    const { at, own, folder } = await encrypted("by-hand");
    const env = { ...at.env, AGE_IDENTITY: undefined };
    const unset = await run("sh", ["RESTORE.txt"], { cwd: folder, env });
    assert.notEqual(unset.code, 0);
    assert.match(unset.stderr, /AGE_IDENTITY: is not set: export AGE_IDENTITY=/);
    assert.ok(!existsSync(join(folder, "restored.db")));
    await output("sh", ["-e", "RESTORE.txt"], {
      cwd: folder,
      env: { ...env, AGE_IDENTITY: own.path },
    });
    assert.equal(ordersOf(join(folder, "restored.db")), ordersOf(join(at.folder, "shop.db")));
  });

  test("asks for the passphrase in RESTORE.txt", { skip: withoutTerminal }, async () => {
    const at = shop("by-hand-passphrase", { P: passphrase });
    await succeeds(at, [...backup, "--passphrase-env", "P"]);
    const manifest = filesBelow(join(at.folder, "backups")).find((f) =>
      f.endsWith("manifest.json")
    )!;
    const folder = join(at.folder, "backups", dirname(manifest));
    const { code, screen } = await commandOnTerminal(
      { folder, env: at.env },
      ["sh", "-e", "RESTORE.txt"],
      [[/passphrase.*: ?$/i, `${passphrase}\n`]],
    );
    assert.equal(code, 0, screen);
    assert.equal(ordersOf(join(folder, "restored.db")), ordersOf(join(at.folder, "shop.db")));
  });

  test("opens an uncompressed backup to the dump as it is", async () => {
    const at = shop("uncompressed");
    const { recipient, path } = await newPair(at, "own.txt");
    await succeeds(at, [...backup, "--compression", "none", "--recipient", recipient]);
    const backups = join(at.folder, "backups");
    const dump = filesBelow(backups).find((file) => file.endsWith("/dump-001-shop.sqlite.age"))!;
    await output("age", ["-d", "-i", path, "-o", join(at.folder, "back.db"), join(backups, dump)]);
    assertRestored(at);
  });

  test("takes what key new makes", async () => {
    const at = place("key-of-age");
    const { path, recipient } = await newPair(at, "key.txt");
    assert.equal((await output("age-keygen", ["-y", path])).trim(), recipient);
  });
});

describe("a backup that is encrypted with a passphrase", () => {
  test("is restored with it from a file, a variable, or the default variable", async () => {
    const at = shop("passphrase", { P: passphrase });
    writeFileSync(join(at.folder, "passphrase.txt"), `${passphrase}\n`, { mode: 0o600 });
    await succeeds(at, [...backup, "--passphrase-file", "passphrase.txt"]);
    await succeeds(at, [...restore, "--passphrase-env", "P"]);
    assertRestored(at);
    await succeeds(at, [...restore, "--overwrite", "--passphrase-file", "passphrase.txt"]);
    await succeeds(at, [...restore, "--overwrite"], { env: { DBBACKUP_PASSPHRASE: passphrase } });
    const wrong = { env: { DBBACKUP_PASSPHRASE: "wrong" } };
    const mistaken = await fails(
      at,
      [...restore, "--overwrite"],
      "config/passphrase",
      3,
      wrong,
    );
    assert.match(mistaken.stderr, /hint: Give the right one .* first bytes are damaged/);
    const without = await fails(at, [...restore, "--overwrite"], "config/passphrase", 3);
    assert.match(without.stderr, /hint: Give it with --passphrase-file, or .*PASSPHRASE\.$/m);
    const [keyless] = (await succeeds(at, verify)).json() as VerifyJson[];
    assert.deepEqual(keyless!.checks, ["sizes", "digests"]);
    assert.match(keyless!.notes[0]!, /encrypted with a passphrase/);
  });

  test("asks for it on a terminal", { skip: withoutTerminal }, async () => {
    const at = shop("asked", { P: passphrase });
    await succeeds(at, [...backup, "--passphrase-env", "P"]);
    const { code, screen } = await commandOnTerminal(at, [binary, ...restore], [
      [/Passphrase of the backup: $/, `${passphrase}\n`],
    ]);
    assert.equal(code, 0, screen);
    assert.ok(!screen.includes("c4n4ry"), "what is typed is not shown");
    assertRestored(at);
  });

  test("is not begun with an empty or missing one", async () => {
    const at = shop("empty", { EMPTY: "" });
    writeFileSync(join(at.folder, "empty.txt"), "\n");
    await fails(at, [...backup, "--passphrase-env", "MISSING"], "config/env-missing", 3);
    await fails(at, [...backup, "--passphrase-env", "EMPTY"], "config/env-empty", 3);
    await fails(at, [...backup, "--passphrase-file", "empty.txt"], "config/passphrase", 3);
    assert.deepEqual(filesBelow(join(at.folder, "backups")), []);
  });
});

describe("a recipient that cannot be used", () => {
  const plugin = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t";
  const signing = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY= me@here";
  for (
    const [what, recipient, code, told] of [
      ["an SSH key that can only sign", signing, "config/recipient", /such keys can only sign\./],
      [
        "an SSH key that is cut",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL7y me@here",
        "config/recipient",
        /The ssh-ed25519 key is damaged: copy it again from its \.pub file\./,
      ],
      [
        "a key of a plugin that is missing",
        plugin,
        "config/plugin-missing",
        /The program age-plugin-yubikey is not in PATH .*\nhint: Install it, to encrypt to age1yubi/,
      ],
    ] as const
  ) {
    test(`is refused as what it is, before anything is dumped: ${what}`, async () => {
      const at = shop("other-recipient");
      const { stderr } = await fails(at, [...backup, "--recipient", recipient], code, 3);
      assert.match(stderr, told);
      assert.ok(!existsSync(join(at.folder, "backups")));
    });
  }
});

needs("ssh-keygen", "age").describe("a backup that is encrypted to SSH keys", () => {
  /** @returns the path of the secret half */
  async function sshKey(at: Place, name: string, passphrase = ""): Promise<string> {
    const path = join(at.folder, name);
    const args = ["-q", "-t", "ed25519", "-a", "4", "-C", `me@${name}`, "-N", passphrase];
    await output("ssh-keygen", [...args, "-f", path]);
    return path;
  }

  test("is restored with either, and by RESTORE.txt as written", async () => {
    const at = shop("ssh");
    const [one, two] = [await sshKey(at, "one"), await sshKey(at, "two")];
    const keys = [one, two].map((path) => readFileSync(`${path}.pub`, "utf8"));
    writeFileSync(join(at.folder, "keys.txt"), `# the team\n\n${keys.join("\n# and\n")}`);
    await succeeds(at, [...backup, "--recipients-file", "keys.txt"]);
    for (const path of [one, two]) {
      await succeeds(at, [...restore, "--overwrite", "--identity", path]);
      assertRestored(at);
    }
    const folder = dirname(join(
      at.folder,
      "backups",
      filesBelow(join(at.folder, "backups")).find((file) => file.endsWith("manifest.json"))!,
    ));
    const shown = await succeeds(at, ["show", "--from", "./backups", folder.split("_")[2]!]);
    assert.match(
      shown.stdout,
      /encrypted to ssh-ed25519 AAAA\S+ me@one, ssh-ed25519 AAAA\S+ me@two/,
    );
    const env = { ...at.env, AGE_IDENTITY: two };
    await output("sh", ["-e", "RESTORE.txt"], { cwd: folder, env });
    assert.equal(ordersOf(join(folder, "restored.db")), ordersOf(join(at.folder, "shop.db")));
    const other = await sshKey(at, "other");
    const wrong = await fails(
      at,
      [...restore, "--overwrite", "--identity", other],
      "config/identity",
      3,
    );
    assert.match(
      wrong.stderr,
      /is encrypted to ssh-ed25519 .* and the identity given is of ssh-ed25519/,
    );
    const half = [...restore, "--overwrite", "--identity", `${one}.pub`];
    const refused = await fails(at, half, "config/identity-file", 3);
    assert.match(
      refused.stderr,
      /It is the public half of an SSH key; the secret one has no \.pub\./,
    );
  });

  test("asks for the key's passphrase once, and says what to do without a terminal", {
    skip: withoutTerminal,
  }, async () => {
    const at = shop("ssh-passphrase");
    const path = await sshKey(at, "id", passphrase);
    await succeeds(at, [...backup, "--recipients-file", "id.pub"]);
    const locked = await fails(at, [...restore, "--identity", path], "config/identity-locked", 3);
    assert.match(locked.stderr, /has a passphrase, and no terminal is there to ask/);
    assert.match(locked.stderr, /ssh-keygen -p -N '' -f COPY/);
    const { code, screen } = await commandOnTerminal(
      at,
      [binary, ...restore, "--identity", path],
      [[/Passphrase of ".*id": /, `${passphrase}\r`]],
    );
    assert.equal(code, 0, screen);
    assert.equal(screen.split("Passphrase of ").length, 2, screen);
    assert.ok(!screen.includes("c4n4ry"), "what is typed is not shown");
    assertRestored(at);
  });

  test("takes its keys from files in a config, which doctor and config check look at", async () => {
    const at = shop("ssh-config");
    const path = await sshKey(at, "id");
    writeFileSync(join(at.folder, "keys.txt"), `# me\n${readFileSync(`${path}.pub`, "utf8")}\n`);
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      `databases: { shop: { type: sqlite, path: ./shop.db } }
destinations: { disk: { type: local, path: ./backups } }
jobs:
  shop:
    database: shop
    destinations: [disk]
    encryption: { recipients: ["\${file:keys.txt}"] }
identities: ["\${file:id}"]
`,
    );
    await succeeds(at, ["config", "check"]);
    const looked = await succeeds(at, ["doctor"]);
    assert.match(
      looked.stdout,
      /encryption shop\n {2}ok {7}to ssh-ed25519 AAAA\S+ me@id\n {2}ok {7}an identity of the config opens it\n/,
    );
    await succeeds(at, ["backup", "shop"]);
    await succeeds(at, ["restore", "shop", "--to", "sqlite:back.db", "--yes"]);
    assertRestored(at);
    writeFileSync(join(at.folder, "keys.txt"), "# nobody is left\n");
    for (const command of [["config", "check"], ["doctor"], ["backup", "shop"]]) {
      const told = await fails(at, command, "config/recipient", 3);
      assert.match(`${told.stdout}${told.stderr}`, /There is no recipient in .*keys\.txt/);
    }
  });
});

describe("encryption in a config", () => {
  const config = (recipient: string) =>
    `import { defineConfig, env, file, local, sqlite } from "dbbackup";
export default defineConfig({
  databases: { shop: sqlite({ path: "./shop.db" }) },
  destinations: { disk: local({ path: "./backups" }) },
  defaults: { destinations: ["disk"], encryption: { recipients: ["${recipient}"] } },
  jobs: {
    public: { database: "shop", destinations: ["disk"], encryption: "none" },
    shared: { database: "shop", destinations: ["disk"], encryption: { passphrase: env("SHARED") } },
    shop: { database: "shop", destinations: ["disk"] },
  },
  identities: [file("./own.txt")],
});
`;

  test("is a job's own or the default, and the config's keys open it", async () => {
    const at = shop("config", { SHARED: passphrase });
    const { recipient, identity } = await newPair(at, "own.txt");
    writeFileSync(join(at.folder, "backup.config.ts"), config(recipient));
    await succeeds(at, ["config", "check"]);
    const shown = await succeeds(at, ["config", "show"]);
    assert.match(shown.stdout, /\$\{SHARED\}/);
    assert.match(shown.stdout, /\$\{file:.*own\.txt\}/);
    assert.ok(!shown.stdout.includes(identity) && !shown.stdout.includes("c4n4ry"), shown.stdout);
    await succeeds(at, ["run", "--once"]);
    const endings = filesBelow(join(at.folder, "backups")).filter((f) => f.includes("dump-001"))
      .map((file) => [file.split("/")[0], file.replace(/.*\.sqlite/, "")]);
    assert.deepEqual(endings, [["public", ".gz"], ["shared", ".gz.age"], ["shop", ".gz.age"]]);
    for (const job of ["shop", "shared", "public"]) {
      await succeeds(at, ["restore", job, "--to", "sqlite:back.db", "--yes", "--overwrite"]);
      assertRestored(at);
    }
    const results = (await succeeds(at, ["verify", "--deep", "--json"])).json() as VerifyJson[];
    assert.deepEqual(results.map(({ notes }) => notes), [[], [], []]);

    rmSync(join(at.folder, "own.txt"));
    const keyless = await succeeds(at, ["verify", "shop", "--deep", "--json"]);
    assert.match(keyless.stderr, /identity of the config cannot be had: .*own\.txt/);
    assert.deepEqual((keyless.json() as VerifyJson[])[0]!.checks, ["sizes", "digests"]);
  });

  test("gives way to the flags of one run", async () => {
    const at = shop("flags-win");
    const { recipient } = await newPair(at, "own.txt");
    const other = await newPair(at, "other.txt");
    writeFileSync(join(at.folder, "backup.config.ts"), config(recipient));
    for (const job of ["public", "shop"]) {
      await succeeds(at, ["backup", job, "--recipient", other.recipient]);
    }
    const listed = (await succeeds(at, ["list", "--json"])).json() as { encryption: unknown }[];
    for (const { encryption } of listed) {
      assert.deepEqual(encryption, { recipients: [other.recipient] });
    }
  });

  test("is checked: keys that cannot be had are told, and nothing is backed up in the clear", async () => {
    const at = shop("unchecked");
    const { recipient, path } = await newPair(at, "own.txt");
    writeFileSync(join(at.folder, "backup.config.ts"), config(recipient));
    const missing = await fails(at, ["config", "check"], "config/env-missing", 3);
    assert.match(missing.stdout, /jobs\.shared\.encryption\.passphrase/);
    await fails(at, ["backup", "shared"], "config/env-missing", 3);
    writeFileSync(path, "no key\n");
    const { stdout } = await fails(at, ["config", "check"], "config/identity-file", 3);
    assert.match(stdout, /identities\[0\]/);
    assert.deepEqual(filesBelow(join(at.folder, "backups")), []);
  });
});

test("neither passphrase nor identity gets into logs, manifests, --json or the backup", async () => {
  const at = shop("canary", { P: passphrase });
  const { recipient, identity, path } = await newPair(at, "own.txt");
  const log = ["--log-level", "debug", "--log-format", "json", "--log-file", "log.json", "--json"];
  const printed: string[] = [];
  const note = async (args: string[]) => {
    const { stdout, stderr } = await dbbackup(at, [...args, ...log]);
    printed.push(stdout, stderr);
  };
  await note([...backup, "--job", "one", "--recipient", recipient]);
  await note([...backup, "--job", "two", "--passphrase-env", "P"]);
  await note(["verify", "--from", "./backups", "--deep", "--identity", path]);
  await note(["verify", "--from", "./backups", "--deep", "--passphrase-env", "P"]);
  const rest = ["--from", "./backups", "--to", "sqlite:back.db", "--yes", "--overwrite"];
  await note(["restore", "one", ...rest, "--identity", path]);
  await note(["restore", "two", ...rest, "--passphrase-env", "P"]);
  await note(["restore", "two", ...rest, "--identity", path]);
  const files = filesBelow(at.folder).filter((file) => file !== "own.txt" && file !== "shop.db");
  const texts = [...printed, ...files.map((f) => readFileSync(join(at.folder, f), "latin1"))];
  assert.ok(files.includes("log.json") && files.some((file) => file.endsWith("manifest.json")));
  for (const text of texts) {
    assert.ok(!text.includes("c4n4ry"), "the passphrase");
    assert.ok(!text.includes(identity), "the identity");
  }
});

describe("key new", () => {
  test("writes an identity that only its owner can read, and never over another", async () => {
    const at = place("key");
    const { path, recipient } = await newPair(at, "key.txt");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const content = readFileSync(path, "utf8");
    assert.match(
      content,
      /^# created: [\dT:-]+Z\n# public key: age1\w{58}\nAGE-SECRET-KEY-1\w{58}\n$/,
    );
    assert.ok(content.includes(`# public key: ${recipient}\n`));
    const refused = await fails(at, ["key", "new", "--output", "key.txt"], "config/exists", 3);
    assert.ok(!refused.stdout.includes("age1"));
    assert.equal(readFileSync(path, "utf8"), content);
    await fails(at, ["key", "new", "--json"], "usage/missing-output", 2);
    const told = await succeeds(at, ["key", "new"]);
    assert.match(told.stdout, /^# created: .*\n# public key: age1\w+\nAGE-SECRET-KEY-1\w+\n$/);
    const named = await succeeds(at, ["key", "new", "--output", "other.txt"]);
    assert.match(named.stdout, /^Public key: age1\w{58}\n/);
    assert.ok(!named.stdout.includes("AGE-SECRET-KEY"));
  });
});
