import { bech32 } from "@scure/base";
import type { CodecParameters } from "../contracts/codec.ts";
import { BackupError } from "../core/errors.ts";

// Keys as age writes them: bech32 (BIP 173) of 32 bytes, https://age-encryption.org/v1 "X25519".
// The library that encrypts is loaded only when something is; these checks come earlier.

/** True for an X25519 recipient, `age1…`. */
export function isRecipient(text: string): boolean {
  return text === text.toLowerCase() && isBech32Of32Bytes(text, "age");
}

/** True for an X25519 identity, `AGE-SECRET-KEY-1…`. */
export function isIdentity(text: string): boolean {
  return text === text.toUpperCase() && isBech32Of32Bytes(text.toLowerCase(), "age-secret-key-");
}

/** The recipients that a manifest names, whatever else it holds. */
export function recipientsIn({ recipients }: CodecParameters): string[] {
  if (!Array.isArray(recipients)) return [];
  return recipients.filter((one) => typeof one === "string");
}

/**
 * The recipients in a file as `age -R` reads it: one a line, `#` starts a remark.
 *
 * @param name of the file, for messages
 * @throws BackupError `config/recipient`
 */
export function parseRecipients(content: string, name: string): string[] {
  const recipients = linesOf(content);
  for (const { line, text } of recipients) {
    if (!isRecipient(text)) throw badRecipient(text, `Line ${line} of "${name}"`);
  }
  if (recipients.length > 0) return recipients.map(({ text }) => text);
  throw new BackupError("config/recipient", `There is no recipient in "${name}"`, { hint });
}

/**
 * The error of something that is no recipient.
 *
 * @param where it stands, as the start of a sentence
 */
export function badRecipient(text: string, where: string): BackupError {
  // What somebody took for the public half may be the secret one.
  const what = isSecretLooking(text) ? "a secret identity" : JSON.stringify(text);
  const kind = otherRecipient(text);
  return new BackupError("config/recipient", `${where} is no age recipient: ${what}`, {
    hint: kind === undefined ? hint : `${kind} ${hint}`,
  });
}

/** What `age` itself takes, or another program, and this one does not. */
function otherRecipient(text: string): string | undefined {
  if (/^(ssh|ecdsa|sk-ssh|sk-ecdsa)-/.test(text)) return "SSH keys cannot be used.";
  const plugin = /^age1([a-z0-9-]+)1[a-z0-9]+$/.exec(text)?.[1];
  if (plugin !== undefined) return `Keys of plugins, such as age-plugin-${plugin}, cannot be used.`;
  return undefined;
}

/** True for what must not be shown, even where it does not belong. */
export function isSecretLooking(text: string): boolean {
  return /secret|private/i.test(text);
}

const hint = "A recipient is a public key, age1 and 58 letters; `dbbackup key new` makes a pair.";

/**
 * The identities in a file as `age -i` reads it: one a line, `#` starts a remark.
 *
 * @param name of where it is from, for messages; no content of it is ever told
 * @throws BackupError `config/identity-file`
 */
export function parseIdentities(content: string, name: string): string[] {
  const identities = linesOf(content);
  for (const { line, text } of identities) {
    if (!isIdentity(text)) {
      throw badIdentities(`Line ${line} of ${name} is no age identity`, kindOf(text));
    }
  }
  if (identities.length > 0) return identities.map(({ text }) => text);
  throw badIdentities(`There is no identity in ${name}`);
}

function badIdentities(message: string, kind?: string): BackupError {
  return new BackupError("config/identity-file", message, {
    hint:
      `${kind === undefined ? "" : `${kind} `}An identity is AGE-SECRET-KEY-1 and 58 letters, ` +
      "as `dbbackup key new` and age-keygen write it.",
  });
}

function kindOf(text: string): string | undefined {
  if (isRecipient(text)) return "It is a recipient, the public half of a pair.";
  if (text.startsWith("age-encryption.org/") || text.includes("AGE ENCRYPTED FILE")) {
    return "The file is encrypted itself: decrypt it with `age -d` first.";
  }
  if (/OPENSSH|RSA|^ssh-/.test(text)) return "SSH keys cannot be used.";
  if (/^AGE-PLUGIN-/i.test(text)) return "Identities of plugins cannot be used.";
  return undefined;
}

function linesOf(content: string): { line: number; text: string }[] {
  return content.split(/\r?\n/)
    .map((text, index) => ({ line: index + 1, text: text.trim() }))
    .filter(({ text }) => text !== "" && !text.startsWith("#"));
}

/** Whether a lower-case text is bech32, with this prefix and a right checksum, of 32 bytes. */
function isBech32Of32Bytes(text: string, prefix: string): boolean {
  const decoded = bech32.decodeUnsafe(text);
  return decoded?.prefix === prefix && bech32.fromWordsUnsafe(decoded.words)?.length === 32;
}
