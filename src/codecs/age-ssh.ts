import type { Recipient, Stanza } from "age-encryption";
import { Buffer } from "node:buffer";
import {
  constants,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
} from "node:crypto";
import type { KeyAid, OtherIdentity } from "../contracts/codec.ts";
import { BackupError } from "../core/errors.ts";
import { base64 } from "./base64.ts";
import { importKey, open, seal } from "./chacha.ts";
import type { SshPrivateKey, SshSecret } from "./ssh-private-key.ts";
import { sshLine, type SshPublicKey, sshTag } from "./ssh-public-key.ts";

// The stanzas ssh-ed25519 and ssh-rsa, as package agessh of filippo.io/age defines them.

const ed25519Label = "age-encryption.org/v1/ssh-ed25519";
const rsaLabel = "age-encryption.org/v1/ssh-rsa";
/** Each key is used once. */
const nonce = new Uint8Array(12);
// As ssh does.
const tries = 3;

/**
 * Wraps the file key for the owner of an SSH key.
 *
 * @throws BackupError `config/recipient` for a point that is not on the curve
 */
export async function sshRecipient(key: SshPublicKey): Promise<Recipient> {
  const { Stanza } = await import("age-encryption");
  if (key.type === "ssh-rsa") {
    const rsa = createPublicKey({
      key: { kty: "RSA", n: base64url(key.n), e: base64url(key.e) },
      format: "jwk",
    });
    return {
      wrapFileKey: (fileKey) => [
        new Stanza(["ssh-rsa", sshTag(key)], publicEncrypt({ key: rsa, ...oaep }, fileKey)),
      ],
    };
  }
  const { ed25519, x25519 } = await import("@noble/curves/ed25519.js");
  const theirs = montgomery(key, ed25519.utils.toMontgomery);
  return {
    async wrapFileKey(fileKey) {
      const { secretKey, publicKey } = x25519.keygen();
      const shared = x25519.getSharedSecret(
        tweakOf(key),
        x25519.getSharedSecret(secretKey, theirs),
      );
      const wrapping = await importKey(wrappingKey(shared, publicKey, theirs));
      const body = await seal(wrapping, nonce, new Uint8Array(fileKey));
      return [new Stanza(["ssh-ed25519", sshTag(key), base64(publicKey)], body)];
    },
  };
}

function montgomery(
  key: SshPublicKey & { type: "ssh-ed25519" },
  convert: (p: Uint8Array) => Uint8Array,
) {
  try {
    return convert(key.point);
  } catch (cause) {
    throw new BackupError("config/recipient", `The SSH key is damaged: ${sshLine(key)}`, {
      cause,
      hint: "Copy it again from its .pub file.",
    });
  }
}

/**
 * Unwraps the file key with an SSH key. Its passphrase is asked for once, and only where the file is
 * encrypted to it.
 *
 * @param name of where the key is from, for questions and messages
 */
export function sshIdentity(key: SshPrivateKey, name: string, aid: KeyAid): OtherIdentity {
  let opening: Promise<SshSecret> | undefined;
  return {
    recipient: key.publicKey === undefined ? `the SSH key of ${name}` : sshLine(key.publicKey),
    async unwrapFileKey(stanzas) {
      const types = key.publicKey === undefined ? ["ssh-rsa", "ssh-ed25519"] : [key.publicKey.type];
      const mine = stanzas.filter(({ args: [type = "", tag] }) =>
        types.includes(type) && (key.publicKey === undefined || tag === sshTag(key.publicKey))
      );
      if (mine.length === 0) return null;
      const secret = await (opening ??= openKey(key, name, aid));
      for (const stanza of mine) {
        const fileKey = await unwrap(stanza, secret);
        if (fileKey !== undefined) return fileKey;
      }
      return null;
    },
  };
}

async function openKey(key: SshPrivateKey, name: string, { ask }: KeyAid): Promise<SshSecret> {
  for (let left = key.isEncrypted ? tries : 1; left > 0; left--) {
    if (key.isEncrypted && ask === undefined) throw locked(name, "and no terminal is there to ask");
    const passphrase = key.isEncrypted
      ? await ask!(`Passphrase of ${name}: `, { isHidden: true })
      : "";
    const secret = await key.open(passphrase);
    if (secret !== undefined) return secret;
  }
  throw locked(name, "and what was typed is not its passphrase");
}

function locked(name: string, why: string): BackupError {
  return new BackupError(
    "config/identity-locked",
    `The SSH key of ${name} has a passphrase, ${why}`,
    {
      hint: "Run this on a terminal. Or give a copy without a passphrase: cp KEY COPY; " +
        "ssh-keygen -p -N '' -f COPY.",
    },
  );
}

async function unwrap(stanza: Stanza, secret: SshSecret): Promise<Uint8Array | undefined> {
  const { args: [type, tag, ...others], body } = stanza;
  if (type !== secret.publicKey.type || tag !== sshTag(secret.publicKey)) return undefined;
  if ("rsa" in secret) return others.length > 0 ? undefined : unwrapRsa(secret.rsa, body);
  const ephemeral = new Uint8Array(Buffer.from(others[0] ?? "", "base64"));
  if (others.length !== 1 || ephemeral.byteLength !== 32 || body.byteLength !== 32) {
    throw new Error("the ssh-ed25519 stanza is not valid");
  }
  const { ed25519, x25519 } = await import("@noble/curves/ed25519.js");
  const own = ed25519.utils.toMontgomerySecret(secret.seed);
  const shared = x25519.getSharedSecret(
    tweakOf(secret.publicKey),
    x25519.getSharedSecret(own, ephemeral),
  );
  const wrapping = await importKey(wrappingKey(shared, ephemeral, x25519.getPublicKey(own)));
  return await open(wrapping, nonce, new Uint8Array(body));
}

const oaep = {
  padding: constants.RSA_PKCS1_OAEP_PADDING,
  oaepHash: "sha256",
  oaepLabel: Buffer.from(rsaLabel),
} as const;

function unwrapRsa(key: KeyObject, body: Uint8Array): Uint8Array | undefined {
  try {
    return new Uint8Array(privateDecrypt({ key, ...oaep }, body));
  } catch {
    // The four bytes of the tag may be another key's.
    return undefined;
  }
}

/** Ties the file key to the SSH key, whatever else has the same point. */
function tweakOf({ blob }: SshPublicKey): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", new Uint8Array(0), blob, ed25519Label, 32));
}

function wrappingKey(shared: Uint8Array, ephemeral: Uint8Array, theirs: Uint8Array) {
  const salt = Buffer.concat([ephemeral, theirs]);
  return new Uint8Array(hkdfSync("sha256", shared, salt, ed25519Label, 32));
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}
