import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { openIdentity } from "../../src/codecs/age-identities.ts";
import { parseIdentities } from "../../src/codecs/age-keys.ts";
import { checkRecipients } from "../../src/codecs/age-recipients.ts";
import { age } from "../../src/codecs/age.ts";
import { lacksKey } from "../../src/codecs/mod.ts";
import type { KeyAid } from "../../src/contracts/codec.ts";
import { bytesOf, collect } from "../../src/core/bytes.ts";
import { BackupError } from "../../src/core/errors.ts";
import { installPlugin, type Mode, pluginIdentity, pluginRecipient } from "../support/agePlugin.ts";
import { needs } from "../support/needs.ts";
import { run } from "../support/run.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";
import { alice, keyring } from "./keys.ts";

const content = Buffer.from("for whoever has the key\n");

interface Aid extends KeyAid {
  readonly told: string[];
}

function aidWith(mode: Mode | undefined, more: Partial<KeyAid> = {}): Aid {
  const told: string[] = [];
  const path = mode === undefined
    ? "/usr/bin:/bin"
    : `${installPlugin(mkdtempSync(join(tempDir("plugins"), "p-")), mode)}:${process.env["PATH"]}`;
  return {
    runtime: testRuntime({ env: { PATH: path } }),
    signal: never,
    tell: (text) => void told.push(text),
    told,
    ...more,
  };
}

async function sealed(aid: KeyAid, recipients = [pluginRecipient]): Promise<Uint8Array> {
  return await collect(age.open({ encryption: { recipients, aid } }).encode(bytesOf(content)));
}

async function opened(stored: Uint8Array, aid: KeyAid, more: string[] = []): Promise<Uint8Array> {
  const identities = [pluginIdentity, ...more].map((text) => openIdentity(text, "key.txt", aid));
  const keys = { ...keyring({}), identities: () => Promise.resolve(identities) };
  return await collect(age.open({ parameters: {}, keyring: keys }).decode(bytesOf(stored)));
}

async function failure(promise: Promise<unknown>): Promise<BackupError> {
  const error = await promise.then(() => assert.fail("it ended well"), (error) => error);
  assert.ok(error instanceof BackupError, String(error));
  return error;
}

describe("a plugin of age", () => {
  test("wraps and unwraps the file's key, and what it says is passed on", async () => {
    const aid = aidWith("plain");
    await checkRecipients([pluginRecipient], aid);
    const stored = await sealed(aid);
    assert.match(Buffer.from(stored).toString("latin1"), /\n-> dbtest x\n/);
    assert.deepEqual(Buffer.from(await opened(stored, aid)), content);
    assert.deepEqual(aid.told, Array(2).fill("age-plugin-dbtest: touch the key"));
    assert.deepEqual(parseIdentities(`# a key\n${pluginIdentity}\n`, "key.txt"), [pluginIdentity]);
  });

  test("asks for a PIN and a confirmation on the terminal", async () => {
    const asked: string[] = [];
    const aid = aidWith("asks", {
      ask(question, { isHidden }) {
        asked.push(`${question}${isHidden}`);
        return Promise.resolve(isHidden ? "1234" : "1");
      },
    });
    assert.deepEqual(Buffer.from(await opened(await sealed(aid), aid)), content);
    assert.deepEqual(asked.slice(0, 2), [
      "age-plugin-dbtest: PIN? true",
      "age-plugin-dbtest: use the key? [1: go on, 2: stop] false",
    ]);
    assert.equal(aid.runtime.secrets.redact("it is 1234"), "it is [redacted]");
  });

  test("is told that nobody can be asked where there is no terminal", async () => {
    const error = await failure(sealed(aidWith("asks")));
    assert.equal(error.code, "config/plugin");
    assert.match(
      error.message,
      /^age-plugin-dbtest cannot encrypt to age1dbtest1\w+: the PIN is wr/,
    );
    assert.match(error.hint!, /has to run on a terminal/);
  });

  test("that is not installed is named before anything is read", async () => {
    const aid = aidWith(undefined);
    for (
      const error of [
        await failure(checkRecipients([alice.recipient, pluginRecipient], aid)),
        await failure(sealed(aid)),
        await failure(opened(await sealed(aidWith("plain")), aid)),
      ]
    ) {
      assert.equal(error.code, "config/plugin-missing");
      assert.equal(error.message, "The program age-plugin-dbtest is not in PATH");
      assert.match(error.hint!, /^Install it, to (encrypt to age1dbtest1\w+|open the backup)\.$/);
      assert.ok(lacksKey(error));
    }
  });

  test("is not waited for where another identity opens the file, whatever is the matter with it", async () => {
    const stored = await sealed(aidWith("plain"), [pluginRecipient, alice.recipient]);
    const aid = aidWith(undefined);
    assert.deepEqual(Buffer.from(await opened(stored, aid, [alice.identity])), content);
  });

  for (
    const [mode, pattern] of [
      ["refuses", /: the key is locked$/],
      ["crashes", /: it ended too early\n {2}no card in the reader$/],
      ["garbles", /: it wrote what is no message$/],
      ["silent", /: it said nothing for 1 s$/],
    ] as const
  ) {
    test(`that ${mode} fails the run with what it said`, async () => {
      const aid = aidWith(mode, { pluginLimitMs: mode === "silent" ? 1000 : 60_000 });
      const stored = await sealed(aidWith("plain"));
      for (const error of [await failure(sealed(aid)), await failure(opened(stored, aid))]) {
        assert.equal(error.code, "config/plugin");
        assert.match(error.message, pattern);
      }
    });
  }

  test("is killed when the run is stopped", async () => {
    const stopping = new AbortController();
    const aid = aidWith("silent", { signal: stopping.signal });
    const ended = failure(sealed(aid));
    setTimeout(() => stopping.abort(new BackupError("interrupted/signal", "Stopped")), 300);
    assert.equal((await ended).code, "interrupted/signal");
  });

  needs("age")("is the same to age itself, in both directions", async () => {
    const folder = tempDir("age-itself");
    const aid = aidWith("plain");
    const env = { ...process.env, ...aid.runtime.env };
    const key = join(folder, "key.txt");
    writeFileSync(key, `${pluginIdentity}\n`);
    const byAge = await run("age", ["-r", pluginRecipient], { input: content, env });
    assert.equal(byAge.code, 0, byAge.stderr);
    assert.deepEqual(Buffer.from(await opened(byAge.stdoutBytes, aid)), content);
    const back = await run("age", ["-d", "-i", key], { input: await sealed(aid), env });
    assert.equal(back.stdout, content.toString(), back.stderr);
  });
});
