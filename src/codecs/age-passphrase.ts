import type { Identity, Recipient, Stanza } from "age-encryption";
import { Buffer } from "node:buffer";
import { scrypt } from "node:crypto";
import { bun } from "../core/bun.ts";
import { BackupError } from "../core/errors.ts";
import { base64 } from "./base64.ts";
import { importKey, open, seal } from "./chacha.ts";

// The scrypt recipient of https://age-encryption.org/v1. age-encryption has it too, in JavaScript,
// where it holds the main thread for seconds; the system's own runs beside it.

/**
 * The base-2 logarithm of scrypt's N for what we write. It takes 64 MiB for 0.2 s, once for each
 * artifact, so that a backup stays under its 180 MB. age's own default of 18 takes 256 MiB and makes
 * each guess of an attacker four times as dear: as much as two bits more in the passphrase, where one
 * more random word brings twelve.
 */
const workFactor = 16;

/** The most that is read: 1 GiB. A forged header must not take all of the memory. */
const highestWorkFactor = 20;

const label = "age-encryption.org/v1/scrypt";
/** Each key is used once. */
const nonce = new Uint8Array(12);

/** Wraps the file key for whoever knows the passphrase. */
export function passphraseRecipient(passphrase: string): Recipient {
  return {
    async wrapFileKey(fileKey) {
      const { Stanza } = await import("age-encryption");
      const salt = crypto.getRandomValues(new Uint8Array(16));
      const key = await deriveKey(passphrase, salt, workFactor);
      const body = await seal(await importKey(key), nonce, new Uint8Array(fileKey));
      return [new Stanza(["scrypt", base64(salt), String(workFactor)], body)];
    },
  };
}

/** Unwraps the file key with a passphrase. */
export function passphraseIdentity(passphrase: string): Identity {
  return {
    async unwrapFileKey(stanzas) {
      const { salt, factor, body } = parse(stanzas);
      const key = await deriveKey(passphrase, salt, factor);
      return await open(await importKey(key), nonce, body) ?? null;
    },
  };
}

function parse(stanzas: readonly Stanza[]) {
  const [stanza, ...others] = stanzas;
  const [type, salt = "", factor = ""] = stanza?.args ?? [];
  // Nobody else may be able to read it, or the sender would not be known to know the passphrase.
  if (stanza === undefined || type !== "scrypt" || others.length > 0) {
    throw new Error("a passphrase is not the only recipient");
  }
  const saltBytes = Buffer.from(salt, "base64");
  const isSound = stanza.args.length === 3 && saltBytes.length === 16 &&
    base64(saltBytes) === salt && stanza.body.byteLength === 32 && /^[1-9]\d?$/.test(factor) &&
    Number(factor) <= highestWorkFactor;
  if (!isSound) throw new Error("the scrypt stanza is not valid");
  return { salt: saltBytes, factor: Number(factor), body: new Uint8Array(stanza.body) };
}

let last: Promise<unknown> = Promise.resolve();

/** One at a time, since each takes so much memory. */
function deriveKey(
  passphrase: string,
  salt: Uint8Array,
  factor: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const derive = () =>
    new Promise<Uint8Array<ArrayBuffer>>((resolve, reject) => {
      // Makes room first: what the stream before has left behind comes to as much.
      bun?.gc(true);
      const options = { N: 2 ** factor, r: 8, p: 1, maxmem: 2 ** (factor + 10) + 2 ** 20 };
      const salted = Buffer.concat([Buffer.from(label), salt]);
      scrypt(passphrase, salted, 32, options, (error, key) => {
        if (!error) resolve(new Uint8Array(key));
        else reject(new BackupError("internal/scrypt", "Cannot derive a key", { cause: error }));
      });
    });
  const key = last.then(derive);
  last = key.catch(() => {});
  return key;
}
