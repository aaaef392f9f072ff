import { Buffer } from "node:buffer";
import { createDecipheriv, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { BackupError, systemCode } from "../core/errors.ts";
import { readBlob, type SshPublicKey, unusableType } from "./ssh-public-key.ts";
import { openWire } from "./ssh-wire.ts";

// The secret halves of SSH keys: OpenSSH's own form (openssh-portable, PROTOCOL.key), and the PEM
// forms that older ssh-keygen and OpenSSL write.

/** A file with the secret half of an SSH key; the secret itself may want a passphrase. */
export interface SshPrivateKey {
  /** The other half; undefined where a passphrase hides it, too. */
  readonly publicKey: SshPublicKey | undefined;
  readonly isEncrypted: boolean;
  /** @returns undefined where the passphrase is wrong */
  open(passphrase: string): Promise<SshSecret | undefined>;
}

/** What opens files of age. */
export type SshSecret =
  | { readonly publicKey: SshPublicKey; readonly seed: Uint8Array }
  | { readonly publicKey: SshPublicKey; readonly rsa: KeyObject };

const openSshMagic = "openssh-key-v1\0";
const block = /-----BEGIN ((?:[A-Z]+ )*PRIVATE KEY)-----\r?\n([\s\S]*?)-----END \1-----/;

/** True for a text that has a secret key in PEM. */
export function isPrivateKey(text: string): boolean {
  return /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/.test(text);
}

/**
 * Reads a file with an SSH key.
 *
 * @param name of where it is from, for messages; no content of it is ever told
 * @throws BackupError `config/identity-file`
 */
export function parseSshPrivateKey(text: string, name: string): SshPrivateKey {
  const [whole, title, body = ""] = block.exec(text) ?? [];
  if (whole === undefined) throw unusable(name, "it is cut");
  if (title === "OPENSSH PRIVATE KEY") return openSshKey(body, name);
  if (title === "EC PRIVATE KEY") throw unusable(name, unusableType("ecdsa"));
  if (title === "DSA PRIVATE KEY") throw unusable(name, unusableType("ssh-dss"));
  return pemKey(`${whole}\n`, name);
}

/** The error of a key that is one, and cannot be used here. */
function unusable(name: string, why: string, cause?: unknown): BackupError {
  return new BackupError(
    "config/identity-file",
    `The SSH key of ${name} cannot be used: ${why.replace(/\.$/, "")}`,
    {
      cause,
      hint: "An identity is AGE-SECRET-KEY-1 and 58 letters, or an SSH key of type ssh-ed25519 " +
        "or ssh-rsa.",
    },
  );
}

/** For keys that only another program can decrypt. */
const howToDecrypt =
  "make a copy of the key and take its passphrase away: `ssh-keygen -p -N '' -f COPY`";

function openSshKey(body: string, name: string): SshPrivateKey {
  const damaged = (cause?: unknown) => unusable(name, "it is damaged", cause);
  try {
    const wire = openWire(Buffer.from(body, "base64"));
    if (Buffer.from(wire.raw(openSshMagic.length)).toString("latin1") !== openSshMagic) {
      throw damaged();
    }
    const [cipher, kdf, kdfOptions] = [wire.text(), wire.text(), wire.field()];
    if (wire.uint32() !== 1) throw unusable(name, "the file has more than one key");
    const blob = wire.field();
    const type = openWire(blob).text();
    const publicKey = readBlob(blob, "", type);
    if (publicKey === undefined) throw damaged();
    if ("wrong" in publicKey) throw unusable(name, publicKey.wrong);
    const sealed = wire.field();
    const isEncrypted = cipher !== "none";
    if (isEncrypted && (ciphers[cipher] === undefined || kdf !== "bcrypt")) {
      throw unusable(name, `its passphrase is kept by ${cipher} and ${kdf}: ${howToDecrypt}`);
    }
    return {
      publicKey,
      isEncrypted,
      async open(passphrase) {
        const plain = isEncrypted
          ? await decrypt({ sealed, cipher, kdfOptions, passphrase })
          : sealed;
        const secret = plain === undefined ? undefined : readSecret(plain, publicKey);
        if (secret === undefined && !isEncrypted) throw damaged();
        return secret;
      },
    };
  } catch (error) {
    if (error instanceof RangeError) throw damaged(error);
    throw error;
  }
}

/** Those of ssh-keygen -Z that need no tag behind the key, by their names in node:crypto. */
const ciphers: Readonly<Record<string, { readonly id: string; readonly keyBytes: number }>> = Object
  .fromEntries(
    [128, 192, 256].flatMap((bits) =>
      ["ctr", "cbc"].map((mode) => [
        `aes${bits}-${mode}`,
        { id: `aes-${bits}-${mode}`, keyBytes: bits / 8 },
      ])
    ),
  );

async function decrypt({ sealed, cipher, kdfOptions, passphrase }: {
  readonly sealed: Uint8Array;
  readonly cipher: string;
  readonly kdfOptions: Uint8Array;
  readonly passphrase: string;
}): Promise<Uint8Array | undefined> {
  const { id, keyBytes } = ciphers[cipher]!;
  const options = openWire(kdfOptions);
  const [salt, rounds] = [options.field(), options.uint32()];
  const { default: { pbkdf } } = await import("bcrypt-pbkdf") as BcryptPbkdf;
  const secret = new TextEncoder().encode(passphrase);
  const derived = new Uint8Array(keyBytes + 16);
  // It refuses an empty passphrase, which no key has.
  const lengths = [secret.length, salt.length, derived.length] as const;
  if (pbkdf(secret, lengths[0], salt, lengths[1], derived, lengths[2], rounds) !== 0) {
    return undefined;
  }
  const decipher = createDecipheriv(id, derived.subarray(0, keyBytes), derived.subarray(keyBytes));
  return decipher.setAutoPadding(false).update(sealed);
}

/** It brings no types of its own. */
interface BcryptPbkdf {
  readonly default: {
    /** @returns 0, or -1 for arguments that it does not take */
    pbkdf(
      passphrase: Uint8Array,
      passphraseLength: number,
      salt: Uint8Array,
      saltLength: number,
      key: Uint8Array,
      keyLength: number,
      rounds: number,
    ): number;
  };
}

/** The list of secret keys; undefined where the two check numbers or the public halves differ. */
function readSecret(plain: Uint8Array, publicKey: SshPublicKey): SshSecret | undefined {
  const wire = openWire(plain);
  try {
    if (wire.uint32() !== wire.uint32() || wire.text() !== publicKey.type) return undefined;
    if (publicKey.type === "ssh-ed25519") {
      const [point, secret] = [wire.field(), wire.field()];
      const isWhole = secret.byteLength === 64 && Buffer.from(point).equals(publicKey.point);
      return isWhole ? { publicKey, seed: secret.subarray(0, 32) } : undefined;
    }
    const [n, e, d, qi, p, q] = [
      ...[wire.number(), wire.number(), wire.number()],
      ...[wire.number(), wire.number(), wire.number()],
    ] as const;
    if (!Buffer.from(n!).equals(publicKey.n)) return undefined;
    const rest = (prime: Uint8Array) => bytesOf(numberOf(d!) % (numberOf(prime) - 1n));
    const parts = { n, e, d, p, q, dp: rest(p!), dq: rest(q!), qi };
    const jwk: Record<string, string> = Object.fromEntries(
      Object.entries(parts).map(([key, bytes]) => [key, Buffer.from(bytes!).toString("base64url")]),
    );
    return { publicKey, rsa: createPrivateKey({ key: { kty: "RSA", ...jwk }, format: "jwk" }) };
  } catch (error) {
    // What a wrong passphrase decrypts to may agree in the first numbers by chance.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex") || "0"}`);
}

function bytesOf(number: bigint): Uint8Array {
  const hex = number.toString(16);
  return Buffer.from(hex.padStart(hex.length + hex.length % 2, "0"), "hex");
}

/** PKCS#1 and PKCS#8, which the system's own library reads. */
function pemKey(pem: string, name: string): SshPrivateKey {
  const isEncrypted = /ENCRYPTED/.test(pem);
  const read = (passphrase: string) => {
    const key = createPrivateKey({ key: pem, ...(isEncrypted ? { passphrase } : {}) });
    return secretOf(key, name);
  };
  try {
    const opened = isEncrypted ? undefined : read("");
    return {
      publicKey: opened?.publicKey,
      isEncrypted,
      open(passphrase) {
        try {
          return Promise.resolve(opened ?? read(passphrase));
        } catch (error) {
          // OpenSSL's names: what the passphrase decrypts to has no sound end, or is no key.
          if (/^ERR_(OSSL|CRYPTO|MISSING)/.test(systemCode(error) ?? "")) {
            return Promise.resolve(undefined);
          }
          return Promise.reject(error);
        }
      },
    };
  } catch (error) {
    if (error instanceof BackupError) throw error;
    throw unusable(name, "it is damaged", error);
  }
}

function secretOf(key: KeyObject, name: string): SshSecret {
  const type = key.asymmetricKeyType;
  const jwk = createPublicKey(key).export({ format: "jwk" });
  const bytes = (text: string | undefined) => new Uint8Array(Buffer.from(text ?? "", "base64url"));
  const publicKey = type === "rsa"
    ? readBlob(blobOf("ssh-rsa", mpint(bytes(jwk.e)), mpint(bytes(jwk.n))), "", "ssh-rsa")
    : type === "ed25519"
    ? readBlob(blobOf("ssh-ed25519", bytes(jwk.x)), "", "ssh-ed25519")
    : undefined;
  if (publicKey === undefined) {
    throw unusable(name, unusableType(type === "ec" ? "ecdsa" : `${type}`));
  }
  if ("wrong" in publicKey) throw unusable(name, publicKey.wrong);
  if (publicKey.type === "ssh-rsa") return { publicKey, rsa: key };
  return { publicKey, seed: bytes(key.export({ format: "jwk" }).d) };
}

/** Fields, each after its length. */
function blobOf(type: string, ...fields: Uint8Array[]): Uint8Array {
  return Buffer.concat([Buffer.from(type), ...fields].flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(field.byteLength);
    return [length, field];
  }));
}

/** A number whose first bit is not taken for a sign. */
function mpint(bytes: Uint8Array): Uint8Array {
  return (bytes[0] ?? 0) < 0x80 ? bytes : Buffer.concat([Buffer.alloc(1), bytes]);
}
