import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openIdentity } from "../../src/codecs/age-identities.ts";
import { isRecipient, parseIdentities, parseRecipients } from "../../src/codecs/age-keys.ts";
import { age } from "../../src/codecs/age.ts";
import { lacksKey } from "../../src/codecs/mod.ts";
import type { KeyAid } from "../../src/contracts/codec.ts";
import { bytesOf, collect } from "../../src/core/bytes.ts";
import { BackupError } from "../../src/core/errors.ts";
import { needs } from "../support/needs.ts";
import { output, run } from "../support/run.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";
import { alice, keyring } from "./keys.ts";

const content = Buffer.from("for the owner of the key\n");
const passphrase = "correct horse";

interface Pair {
  readonly path: string;
  readonly recipient: string;
  readonly text: string;
}

/** What ssh-keygen makes of these arguments. */
async function keygen(...args: readonly string[]): Promise<Pair> {
  const path = join(mkdtempSync(join(tempDir("ssh"), "k-")), "id");
  const secret = args.includes("-N") ? [] : ["-N", ""];
  await output("ssh-keygen", ["-q", "-C", "me@host", "-f", path, ...secret, ...args]);
  return {
    path,
    recipient: readFileSync(`${path}.pub`, "utf8").trim(),
    text: readFileSync(path, "utf8"),
  };
}

function aidWith(typed?: readonly string[]): KeyAid & { readonly asked: string[] } {
  const asked: string[] = [];
  const left = [...typed ?? []];
  const ask: KeyAid["ask"] = (question) => {
    asked.push(question);
    return Promise.resolve(left.shift() ?? assert.fail("it asked once more"));
  };
  return {
    runtime: testRuntime(),
    signal: never,
    tell: () => {},
    asked,
    ...typed === undefined ? {} : { ask },
  };
}

async function sealed(recipients: readonly string[]): Promise<Uint8Array> {
  return await collect(age.open({ encryption: { recipients } }).encode(bytesOf(content)));
}

/** One keyring for all of them, as one command has. */
async function opened(stored: readonly Uint8Array[], texts: readonly string[], aid = aidWith()) {
  const identities = texts.map((text) => openIdentity(text, "id", aid));
  const keys = { ...keyring({}), identities: () => Promise.resolve(identities) };
  const contents: Buffer[] = [];
  for (const one of stored) {
    const decoder = age.open({ parameters: {}, keyring: keys });
    contents.push(Buffer.from(await collect(decoder.decode(bytesOf(one)))));
  }
  return contents;
}

async function failure(run: () => unknown): Promise<BackupError> {
  const promise = (async () => await run())();
  const error = await promise.then(() => assert.fail("it ended well"), (error) => error);
  assert.ok(error instanceof BackupError, String(error?.stack));
  return error;
}

const forms: Readonly<Record<string, readonly string[]>> = {
  "ed25519": ["-t", "ed25519"],
  "RSA of 2048 bits": ["-t", "rsa", "-b", "2048"],
  "RSA of 3072 bits": ["-t", "rsa", "-b", "3072"],
  "RSA of 4096 bits": ["-t", "rsa", "-b", "4096"],
  "RSA in PEM": ["-t", "rsa", "-b", "2048", "-m", "PEM"],
  "RSA in PKCS#8": ["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
};

needs("ssh-keygen", "age").describe("an SSH key", () => {
  for (const [title, args] of Object.entries(forms)) {
    test(`of ${title} encrypts and decrypts as with age itself, in both directions`, async () => {
      const { path, recipient, text } = await keygen(...args);
      assert.ok(isRecipient(recipient));
      assert.deepEqual(parseIdentities(text, "id"), [text]);
      const ours = await sealed([recipient]);
      const byAge = await run("age", ["-r", recipient], { input: content });
      assert.equal(byAge.code, 0, byAge.stderr);
      assert.deepEqual(await opened([ours, byAge.stdoutBytes], [text]), [content, content]);
      const back = await run("age", ["-d", "-i", path], { input: ours });
      assert.equal(back.stdout, content.toString(), back.stderr);
    });
  }

  for (
    const [title, args] of Object.entries({
      "ed25519, aes256-ctr": ["-t", "ed25519"],
      "ed25519, aes128-cbc": ["-t", "ed25519", "-Z", "aes128-cbc"],
      "ed25519, aes192-ctr": ["-t", "ed25519", "-Z", "aes192-ctr"],
      "RSA, aes256-ctr": ["-t", "rsa", "-b", "2048"],
      "RSA in PEM": ["-t", "rsa", "-b", "2048", "-m", "PEM"],
      "RSA in PKCS#8": ["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
    })
  ) {
    test(`with a passphrase (${title}) is opened once for all files of a command`, async () => {
      const { recipient, text } = await keygen(...args, "-a", "4", "-N", passphrase);
      const stored = [await sealed([recipient]), await sealed([recipient, alice.recipient])];
      const aid = aidWith(["wrong", passphrase]);
      assert.deepEqual(await opened(stored, [text], aid), [content, content]);
      assert.deepEqual(aid.asked, Array(2).fill("Passphrase of id: "));

      const locked = await failure(() => opened(stored, [text]));
      assert.equal(locked.code, "config/identity-locked");
      assert.match(locked.message, /^The SSH key of id has a passphrase, and no terminal is there/);
      assert.match(locked.hint!, /ssh-keygen -p -N '' -f COPY/);
      assert.ok(lacksKey(locked));
      const wrong = await failure(() => opened(stored, [text], aidWith(["a", "b", "c"])));
      assert.match(wrong.message, /what was typed is not its passphrase$/);
      // Somebody is asked only for what nothing else opens.
      assert.deepEqual(await opened([stored[1]!], [text, alice.identity]), [content]);
    });
  }

  test("whose passphrase is kept by a cipher that is not known is refused with what to do", async () => {
    const args = ["-t", "ed25519", "-Z", "chacha20-poly1305@openssh.com", "-N", passphrase];
    const { text } = await keygen(...args);
    const error = await failure(() => parseIdentities(text, "id"));
    assert.equal(error.code, "config/identity-file");
    assert.match(error.message, /kept by chacha20-poly1305@openssh\.com and bcrypt: make a copy/);
  });

  test("of a file that is not encrypted to it is told by name, and is asked for nothing", async () => {
    const [mine, other] = [
      await keygen("-t", "ed25519", "-N", passphrase),
      await keygen("-t", "rsa"),
    ];
    const aid = aidWith([]);
    const stored = await sealed([other.recipient, alice.recipient]);
    const error = await failure(() => opened([stored], [mine.text], aid));
    assert.equal(error.code, "config/identity");
    assert.match(error.message, /and the identity given is of ssh-ed25519 AAAA\S+$/);
    assert.deepEqual(aid.asked, []);
  });

  test("that can only sign is refused by name, as recipient and as identity", async () => {
    for (const [type, name] of [["ecdsa", "ecdsa-sha2-nistp256"]] as const) {
      const { recipient, text } = await keygen("-t", type);
      assert.equal(isRecipient(recipient), false);
      const error = await failure(() => parseRecipients(`# me\n${recipient}\n`, "keys"));
      assert.equal(error.code, "config/recipient");
      assert.match(error.message, /^Line 2 of "keys" is no recipient: "ecdsa-sha2-nistp256 AAAA/);
      assert.match(
        error.hint!,
        new RegExp(`^${name} keys cannot be used: such keys can only sign`),
      );
      const identity = await failure(() => parseIdentities(text, "id"));
      assert.equal(identity.code, "config/identity-file");
      assert.match(identity.message, new RegExp(`cannot be used: ${name} keys cannot be used`));
      assert.ok(!identity.message.includes(text.slice(50, 80)));
    }
    const sk = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAA";
    assert.match(
      (await failure(() => parseRecipients(sk, "keys"))).hint!,
      /^sk-ssh-ed25519@openssh\.com/,
    );
  });

  test("of 1024 bits is refused, and so is one that is cut or changed", async () => {
    const short = await keygen("-t", "rsa", "-b", "1024");
    assert.match(
      (await failure(() => parseRecipients(short.recipient, "keys"))).hint!,
      /^RSA keys of less than 2048 bits are not safe; this has 1024\./,
    );
    assert.equal(
      (await failure(() => parseIdentities(short.text, "id"))).code,
      "config/identity-file",
    );
    const { recipient, text } = await keygen("-t", "ed25519");
    const cut = recipient.split(" ")[1]!.slice(0, -8);
    const error = await failure(() => parseRecipients(`ssh-ed25519 ${cut}`, "keys"));
    assert.match(error.hint!, /^The ssh-ed25519 key is damaged: copy it again/);
    const half = text.split("\n").slice(0, 3).join("\n");
    assert.match((await failure(() => parseIdentities(half, "id"))).message, /: it is cut$/);
    const lines = text.split("\n").toSpliced(2, 1).join("\n");
    assert.match((await failure(() => parseIdentities(lines, "id"))).message, /: it is damaged$/);
  });

  test("is found in authorized_keys, with options, remarks and other keys around it", async () => {
    const [one, two] = [await keygen("-t", "ed25519"), await keygen("-t", "rsa", "-b", "2048")];
    const file = [
      "# who may come in",
      "",
      `from="10.0.0.0/8",no-pty ${one.recipient}`,
      `  ${two.recipient}\r`,
      one.recipient.replace("me@host", "the same again"),
      alice.recipient,
    ].join("\n");
    const recipients = parseRecipients(file, "authorized_keys");
    assert.deepEqual(recipients, [one.recipient, two.recipient, alice.recipient]);
    const stored = await sealed(recipients);
    for (const key of [one.text, two.text, alice.identity]) {
      assert.deepEqual(await opened([stored], [key]), [content]);
    }
  });

  test("is not taken for damage where its stanza's tag is another key's", async () => {
    const [mine, other] = [
      await keygen("-t", "rsa", "-b", "2048"),
      await keygen("-t", "rsa", "-b", "2048"),
    ];
    const text = Buffer.from(await sealed([other.recipient])).toString("latin1");
    const tag = /-> ssh-rsa (\S+)/;
    const own = tag.exec(Buffer.from(await sealed([mine.recipient])).toString("latin1"))![1]!;
    const forged = Buffer.from(text.replace(tag, `-> ssh-rsa ${own}`), "latin1");
    const error = await failure(() => opened([forged], [mine.text]));
    assert.equal(error.code, "config/identity");
  });
});

describe("a post-quantum key", () => {
  test("of age is a recipient, and excludes those that are weaker", async () => {
    const { generateHybridIdentity, identityToRecipient } = await import("age-encryption");
    const identity = await generateHybridIdentity();
    const recipient = await identityToRecipient(identity);
    assert.ok(isRecipient(recipient));
    assert.deepEqual(parseIdentities(identity, "key.txt"), [identity]);
    assert.deepEqual(await opened([await sealed([recipient])], [identity]), [content]);
    const error = await failure(() => sealed([recipient, alice.recipient]));
    assert.equal(error.code, "config/recipient");
    assert.match(
      error.message,
      /^Post-quantum recipients, age1pq1…, and others exclude each other/,
    );
  });
});
