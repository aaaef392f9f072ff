import { Buffer } from "node:buffer";
import type { CodecParameters, Encryption, Keyring } from "../contracts/codec.ts";
import { BackupError } from "../core/errors.ts";
import { recipientsIn } from "./age-keys.ts";
import { passphraseIdentity, passphraseRecipient } from "./age-passphrase.ts";
import { corrupt, truncated } from "./damage.ts";
import type { Reader } from "./reader.ts";

// The header of an age file (https://age-encryption.org/v1, "Header"): lines of ASCII that keep the
// file's key, wrapped for each recipient, and end in a line with a MAC of them all.

const firstLine = "age-encryption.org/v1\n";
// A recipient takes about 150 bytes.
const longestHeaderBytes = 256 * 1024;

/** Makes a key for one file, and the header that keeps it. */
export async function sealHeader(
  encryption: Encryption,
): Promise<{ header: Uint8Array; fileKey: Uint8Array }> {
  const { Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  let fileKey = new Uint8Array(0);
  encrypter.addRecipient({
    // The library makes the key and tells it only to recipients, so we are one; we add nothing.
    wrapFileKey(key) {
      fileKey = key.slice();
      return [];
    },
  });
  if ("recipients" in encryption) encryption.recipients.forEach((r) => encrypter.addRecipient(r));
  else encrypter.addRecipient(passphraseRecipient(encryption.passphrase));
  // Of an empty file, what follows the header is a nonce and one sealed chunk without content.
  const file = await encrypter.encrypt(new Uint8Array(0));
  return { header: file.subarray(0, file.byteLength - 16 - 16), fileKey };
}

/**
 * Reads up to the header's end and leaves the reader there.
 *
 * @throws BackupError `verification/corrupt`, `verification/truncated`
 */
export async function readHeader(reader: Reader): Promise<string> {
  let text = "";
  while (text.length < longestHeaderBytes) {
    const piece = await reader.some(4096);
    if (piece === undefined) throw truncated("its header is cut", "encrypted");
    text += Buffer.from(piece).toString("latin1");
    const start = text.slice(0, firstLine.length);
    if (!firstLine.startsWith(start)) {
      throw corrupt("it does not start like an age file", undefined, "encrypted");
    }
    const mac = text.indexOf("\n--- ");
    const end = mac < 0 ? -1 : text.indexOf("\n", mac + 1);
    if (end < 0) continue;
    const rest = text.length - end - 1;
    if (rest > 0) reader.putBack(piece.subarray(piece.byteLength - rest));
    return text.slice(0, end + 1);
  }
  throw corrupt("its header does not end", undefined, "encrypted");
}

/**
 * Finds the file's key with one of the keys.
 *
 * @param parameters as the manifest has them: who should be able to read it
 * @throws BackupError `config/identity`, `config/passphrase` when no key fits; `verification/corrupt`
 */
export async function openHeader(
  header: string,
  parameters: CodecParameters,
  keyring: Keyring,
): Promise<Uint8Array> {
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  const isByPassphrase = /^-> scrypt /m.test(header);
  const keys = isByPassphrase ? await keyring.passphrases() : await keyring.identities();
  for (const key of keys) decrypter.addIdentity(isByPassphrase ? passphraseIdentity(key) : key);
  let hasTriedAll = false;
  decrypter.addIdentity({
    unwrapFileKey() {
      hasTriedAll = true;
      return null;
    },
  });
  try {
    return await decrypter.decryptHeader(Buffer.from(header, "latin1"));
  } catch (cause) {
    if (cause instanceof BackupError) throw cause;
    if (!hasTriedAll) throw corrupt("its header is not valid", cause, "encrypted");
  }
  if (isByPassphrase) throw noPassphraseFits(keys.length);
  throw await noIdentityFits(keys, recipientsIn(parameters));
}

function noPassphraseFits(count: number): BackupError {
  const why = count === 0
    ? "and none is given"
    : `and ${count === 1 ? "the one given does" : `the ${count} given do`} not open it`;
  return new BackupError("config/passphrase", `The backup is encrypted with a passphrase, ${why}`, {
    hint: count === 0
      ? "Give it with --passphrase-file, or put it into DBBACKUP_PASSPHRASE."
      : "Give the right one with --passphrase-file, or put it into DBBACKUP_PASSPHRASE. If it " +
        "is right, the file's first bytes are damaged: `dbbackup verify --deep` tells.",
  });
}

async function noIdentityFits(
  identities: readonly string[],
  recipients: readonly string[],
): Promise<BackupError> {
  const { identityToRecipient } = await import("age-encryption");
  const own = await Promise.all(identities.map((identity) => identityToRecipient(identity)));
  const fitting = own.find((one) => recipients.includes(one));
  if (fitting !== undefined) {
    return corrupt(`its header does not open for ${fitting}`, undefined, "encrypted");
  }
  const whom = recipients.length === 0 ? "recipients unknown here" : recipients.join(", ");
  const why = own.length === 0
    ? "and no identity is given"
    : `and the ${own.length === 1 ? "identity given is" : "identities given are"} of ${
      own.join(", ")
    }`;
  return new BackupError("config/identity", `The backup is encrypted to ${whom}, ${why}`, {
    hint: "Give the file with the identity (AGE-SECRET-KEY-1…) of one of these recipients: " +
      "--identity FILE, DBBACKUP_IDENTITY=FILE, or identities in the config.",
    details: { recipients, identitiesOf: own },
  });
}
