import type { Identity } from "age-encryption";
import { Buffer } from "node:buffer";
import type { CodecParameters, Encryption, Keyring, OtherIdentity } from "../contracts/codec.ts";
import { BackupError } from "../core/errors.ts";
import { briefWords } from "../core/text.ts";
import { recipientsIn, withoutComment } from "./age-keys.ts";
import { passphraseIdentity, passphraseRecipient } from "./age-passphrase.ts";
import { openRecipients } from "./age-recipients.ts";
import { corrupt, truncated } from "./damage.ts";
import type { Reader } from "./reader.ts";

// The header of an age file (https://age-encryption.org/v1, "Header"): lines of ASCII that keep the
// file's key, wrapped for each recipient, and end in a line with a MAC of them all.

const firstLine = "age-encryption.org/v1\n";
// A recipient takes about 150 bytes, an RSA key of 4096 bits 750, a post-quantum one 1,600.
const longestHeaderBytes = 256 * 1024;

/**
 * Makes a key for one file, and the header that keeps it.
 *
 * @throws BackupError `config/recipient`, `config/plugin`, `config/plugin-missing`
 */
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
  const recipients = "recipients" in encryption
    ? await openRecipients(encryption.recipients, encryption.aid)
    : [passphraseRecipient(encryption.passphrase)];
  for (const recipient of recipients) encrypter.addRecipient(recipient);
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
 * @throws BackupError `config/identity`, `config/passphrase` when no key fits; those of
 * {@link OtherIdentity} when one could not be tried; `verification/corrupt`
 */
export async function openHeader(
  header: string,
  parameters: CodecParameters,
  keyring: Keyring,
): Promise<Uint8Array> {
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  const isByPassphrase = /^-> scrypt /m.test(header);
  const passphrases = isByPassphrase ? await keyring.passphrases() : [];
  for (const passphrase of passphrases) decrypter.addIdentity(passphraseIdentity(passphrase));
  const identities = isByPassphrase ? [] : await keyring.identities();
  const untried: BackupError[] = [];
  for (const identity of quietFirst(identities)) {
    decrypter.addIdentity(
      typeof identity === "string" ? identity : patient(identity, (error) => untried.push(error)),
    );
  }
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
  if (isByPassphrase) throw noPassphraseFits(passphrases.length);
  throw untried[0] ?? await noIdentityFits(identities, recipientsIn(parameters));
}

/** A plugin or a question is for what nothing else opens. */
function quietFirst(identities: readonly (string | OtherIdentity)[]) {
  return [
    ...identities.filter((one) => typeof one === "string"),
    ...identities.filter((one) => typeof one !== "string"),
  ];
}

/** Where one cannot be tried, another may open the file. */
function patient(identity: OtherIdentity, onFailure: (error: BackupError) => void): Identity {
  return {
    async unwrapFileKey(stanzas) {
      try {
        return await identity.unwrapFileKey(stanzas);
      } catch (error) {
        if (!(error instanceof BackupError) || !error.code.startsWith("config/")) throw error;
        onFailure(error);
        return null;
      }
    },
  };
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
  identities: readonly (string | OtherIdentity)[],
  recipients: readonly string[],
): Promise<BackupError> {
  const { identityToRecipient } = await import("age-encryption");
  const own = await Promise.all(
    identities.map((one) => typeof one === "string" ? identityToRecipient(one) : one.recipient),
  );
  const named = new Set(recipients.map(withoutComment));
  const fitting = own.find((one) => named.has(withoutComment(one)));
  if (fitting !== undefined) {
    return corrupt(`its header does not open for ${briefWords(fitting)}`, undefined, "encrypted");
  }
  const whom = recipients.length === 0
    ? "recipients unknown here"
    : recipients.map(briefWords).join(", ");
  const why = own.length === 0
    ? "and no identity is given"
    : `and the ${own.length === 1 ? "identity given is" : "identities given are"} of ${
      own.map(briefWords).join(", ")
    }`;
  return new BackupError("config/identity", `The backup is encrypted to ${whom}, ${why}`, {
    hint: "Give the file with the secret half of one of these: --identity FILE, " +
      "DBBACKUP_IDENTITY=FILE, or identities in the config.",
    details: { recipients, identitiesOf: own },
  });
}
