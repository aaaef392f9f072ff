import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import fc from "fast-check";
import { age } from "../../src/codecs/age.ts";
import { lacksKey } from "../../src/codecs/mod.ts";
import type { Encryption, Keyring } from "../../src/contracts/codec.ts";
import { type Bytes, bytesOf, collect } from "../../src/core/bytes.ts";
import type { BackupError } from "../../src/core/errors.ts";
import { needs } from "../support/needs.ts";
import { output, run } from "../support/run.ts";
import { type Answers, commandOnTerminal } from "../support/terminal.ts";
import { tempDir } from "../support/workspace.ts";
import { alice, bob, keyring } from "./keys.ts";

const toAlice: Encryption = { recipients: [alice.recipient] };
const chunk = 64 * 1024;

async function sealed(content: Uint8Array, encryption = toAlice): Promise<Uint8Array> {
  return await collect(age.open({ encryption }).encode(bytesOf(content)));
}

async function opened(
  stored: Uint8Array,
  keys: Keyring = keyring({ identities: [alice.identity] }),
  encryption = toAlice,
): Promise<Uint8Array> {
  const { parameters } = age.open({ encryption });
  return await collect(age.open({ parameters, keyring: keys }).decode(bytesOf(stored)));
}

async function failure(promise: Promise<unknown>): Promise<BackupError> {
  return await promise.then(
    () => assert.fail("it was opened"),
    (error: BackupError) => error,
  );
}

describe("age", () => {
  test("never stores the same content the same way twice", async () => {
    const content = randomBytes(100);
    assert.notDeepEqual(await sealed(content), await sealed(content));
  });

  test("tells its recipients in the parameters, and of a passphrase only that there is one", () => {
    assert.deepEqual(age.open({ encryption: toAlice }).parameters, {
      recipients: [alice.recipient],
    });
    const byPassphrase = age.open({ encryption: { passphrase: "c4n4ry" } });
    assert.deepEqual(byPassphrase.parameters, { passphrase: true });
    assert.equal(age.decodeCommand(byPassphrase.parameters), "age -d");
    assert.equal(
      age.decodeCommand({ recipients: [alice.recipient] }),
      'age -d -i "$AGE_IDENTITY"',
    );
  });

  test("opens for each recipient, with the right one of several identities", async () => {
    const content = randomBytes(200_000);
    const stored = await sealed(content, { recipients: [alice.recipient, bob.recipient] });
    for (const identities of [[alice.identity], [bob.identity], [bob.identity, alice.identity]]) {
      assert.deepEqual(Buffer.from(await opened(stored, keyring({ identities }))), content);
    }
    const onlyAlice = await sealed(content);
    const both = keyring({ identities: [bob.identity, alice.identity] });
    assert.deepEqual(Buffer.from(await opened(onlyAlice, both)), content);
  });

  test("names the recipients when the identity is another, or missing", async () => {
    const stored = await sealed(randomBytes(10));
    const wrong = await failure(opened(stored, keyring({ identities: [bob.identity] })));
    assert.equal(wrong.code, "config/identity");
    assert.ok(wrong.message.includes(alice.recipient), wrong.message);
    assert.ok(wrong.message.includes(`the identity given is of ${bob.recipient}`), wrong.message);
    assert.match(wrong.hint!, /--identity FILE/);
    const none = await failure(opened(stored, keyring({})));
    assert.equal(none.code, "config/identity");
    assert.match(none.message, /no identity is given/);
    assert.ok(lacksKey(wrong) && lacksKey(none));
    for (const { message, hint } of [wrong, none]) {
      assert.ok(!`${message}${hint}`.includes(bob.identity));
    }
  });

  test("opens with the right one of several passphrases, and says when none is right", async () => {
    const content = randomBytes(70_000);
    const encryption = { passphrase: "correct horse battery staple" };
    const stored = await sealed(content, encryption);
    const keys = keyring({ passphrases: ["another", encryption.passphrase] });
    assert.deepEqual(Buffer.from(await opened(stored, keys, encryption)), content);
    const wrong = await failure(
      opened(stored, keyring({ passphrases: ["another"] }), encryption),
    );
    assert.equal(wrong.code, "config/passphrase");
    assert.ok(lacksKey(wrong));
    const none = await failure(opened(stored, keyring({}), encryption));
    assert.match(none.message, /none is given/);
  });

  test("asks for no key before something needs one", async () => {
    const untouched: Keyring = {
      identities: () => assert.fail("asked for identities"),
      passphrases: () => assert.fail("asked for passphrases"),
    };
    const { code } = await failure(opened(randomBytes(1000), untouched));
    assert.equal(code, "verification/corrupt");
  });

  test("refuses a passphrase whose work factor would take all memory", async () => {
    const encryption = { passphrase: "p" };
    const stored = Buffer.from(await sealed(randomBytes(10), encryption)).toString("latin1");
    const forged = Buffer.from(stored.replace(/^(-> scrypt \S+) 16$/m, "$1 30"), "latin1");
    const error = await failure(opened(forged, keyring({ passphrases: ["p"] }), encryption));
    assert.equal(error.code, "verification/corrupt");
  });
});

describe("a file of age that was tampered with", () => {
  const sizes = fc.constantFrom(0, 1, 100, chunk - 1, chunk, chunk + 1, 2 * chunk, 150_000);

  test("is an error, whichever bit is flipped", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(7), async (
        size,
        place,
        bit,
      ) => {
        const stored = await sealed(randomBytes(size));
        const offset = Math.min(stored.byteLength - 1, Math.floor(place * stored.byteLength));
        stored[offset]! ^= 1 << bit;
        assert.match((await failure(opened(stored))).code, /^verification\/(corrupt|truncated)$/);
      }),
      { numRuns: 200 },
    );
  });

  test("is an error, whichever bit of the header is flipped", async () => {
    const stored = await sealed(randomBytes(10));
    const headerBytes = Buffer.from(stored).indexOf("\n", Buffer.from(stored).indexOf("--- ")) + 1;
    for (let offset = 0; offset < headerBytes + 16; offset++) {
      const flipped = stored.slice();
      flipped[offset]! ^= 1 << offset % 8;
      const { code } = await failure(opened(flipped));
      assert.match(code, /^verification\/(corrupt|truncated)$/, `byte ${offset}`);
    }
  });

  test("is an error, wherever it is cut", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.double({ min: 0, max: 1, noNaN: true }), async (size, place) => {
        const stored = await sealed(randomBytes(size));
        const length = Math.min(stored.byteLength - 1, Math.floor(place * stored.byteLength));
        const { code } = await failure(opened(stored.subarray(0, length)));
        assert.equal(code, "verification/truncated");
      }),
      { numRuns: 200 },
    );
  });

  test("is an error when whole pieces are left out, repeated or swapped", async () => {
    const stored = await sealed(randomBytes(4 * chunk));
    const start = stored.byteLength - 4 * (chunk + 16);
    const piece = (index: number) =>
      stored.subarray(start + index * (chunk + 16), start + (index + 1) * (chunk + 16));
    const orders = [[0, 1, 2], [0, 1], [0], [], [1, 0, 2, 3], [0, 1, 2, 3, 3], [0, 0, 1, 2, 3], [
      3,
    ]];
    for (const order of orders) {
      const forged = Buffer.concat([stored.subarray(0, start), ...order.map(piece)]);
      const { code } = await failure(opened(forged));
      assert.match(code, /^verification\//, order.join(" "));
    }
  });

  test("gives no byte of a piece that was changed", async () => {
    const stored = await sealed(new Uint8Array(3 * chunk).fill(7));
    stored[stored.byteLength - chunk - 100]! ^= 1;
    const seen: Uint8Array[] = [];
    const { parameters } = age.open({ encryption: toAlice });
    const keys = keyring({ identities: [alice.identity] });
    const decoded: Bytes = age.open({ parameters, keyring: keys }).decode(bytesOf(stored));
    await assert.rejects(async () => {
      for await (const bytes of decoded) seen.push(bytes.slice());
    }, { code: "verification/corrupt" });
    assert.equal(Buffer.concat(seen).byteLength, chunk);
  });
});

needs("age").describe("age of the command line", () => {
  const folder = mkdtempSync(join(tempDir("age"), "a-"));
  const key = join(folder, "key.txt");
  const stored = join(folder, "stored.age");
  writeFileSync(key, `# a remark\n${alice.identity}\n`, { mode: 0o600 });

  test("opens what we encrypt to recipients, of any size", async () => {
    for (const size of [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk, 1_000_000]) {
      const content = randomBytes(size);
      writeFileSync(
        stored,
        await sealed(content, { recipients: [bob.recipient, alice.recipient] }),
      );
      const { code, stdoutBytes } = await run("age", ["-d", "-i", key, stored]);
      assert.equal(code, 0);
      assert.ok(stdoutBytes.equals(content), `${size} bytes`);
    }
  });

  test("makes files that we open, of any size", async () => {
    for (const size of [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk, 1_000_000]) {
      const content = randomBytes(size);
      const plain = join(folder, `plain-${size}`);
      writeFileSync(plain, content);
      await output("age", ["-r", alice.recipient, "-o", stored, plain]);
      assert.ok(Buffer.from(await opened(readFileSync(stored))).equals(content), `${size} bytes`);
    }
  });

  test("opens what we encrypt with a passphrase, and the other way round", async () => {
    const encryption = { passphrase: "correct horse battery staple" };
    const content = randomBytes(100_000);
    writeFileSync(stored, await sealed(content, encryption));
    const out = join(folder, "out-passphrase");
    const at = { folder, env: process.env };
    const enter: Answers[number] = [/passphrase.*: ?$/i, `${encryption.passphrase}\n`];
    const { code, screen } = await commandOnTerminal(at, ["age", "-d", "-o", out, stored], [enter]);
    assert.equal(code, 0, screen);
    assert.ok(readFileSync(out).equals(content));

    const theirs = join(folder, "theirs.age");
    const made = await commandOnTerminal(at, ["age", "-p", "-o", theirs, out], [enter, enter]);
    assert.equal(made.code, 0, made.screen);
    const keys = keyring({ passphrases: [encryption.passphrase] });
    const plain = await opened(readFileSync(theirs), keys, encryption);
    assert.ok(Buffer.from(plain).equals(content));
  });
});
