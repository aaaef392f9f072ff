import { bech32 } from "@scure/base";
import type { CodecParameters } from "../contracts/codec.ts";
import { BackupError } from "../core/errors.ts";
import { pluginOfIdentity, pluginOfRecipient } from "./age-plugin.ts";
import { isPrivateKey, parseSshPrivateKey } from "./ssh-private-key.ts";
import { isSshLine, parseSshPublicKey, sshLine } from "./ssh-public-key.ts";

// Keys as age writes them: bech32 (BIP 173) of 32 bytes, https://age-encryption.org/v1 "X25519"; keys
// of plugins, bech32, too; and SSH keys as ssh-keygen writes them.
// The library that encrypts is loaded only when something is; these checks come earlier.

/** True for what backups can be encrypted to: `age1…`, and a line with a public SSH key. */
export function isRecipient(text: string): boolean {
  if (isNativeRecipient(text) || pluginOfRecipient(text) !== undefined) return true;
  return isSshLine(text) && !("wrong" in parseSshPublicKey(text));
}

/** True for a recipient that needs nothing but a library: `age1…`, also of post-quantum keys. */
export function isNativeRecipient(text: string): boolean {
  if (text !== text.toLowerCase()) return false;
  if (isBech32(text, "age", 32)) return true;
  return Object.entries(nativeBytes).some(([prefix, length]) => isBech32(text, prefix, length));
}

/** Bytes of the public keys that age-encryption knows beside X25519. */
const nativeBytes = { age1pq: 1216, age1tag: 33, age1tagpq: 1249 } as const;

/** True for an identity that needs nothing but a library: `AGE-SECRET-KEY-1…`. */
export function isIdentity(text: string): boolean {
  if (text !== text.toUpperCase()) return false;
  const lower = text.toLowerCase();
  return isBech32(lower, "age-secret-key-", 32) || isBech32(lower, "age-secret-key-pq-", 32);
}

/** The recipients that a manifest names, whatever else it holds. */
export function recipientsIn({ recipients }: CodecParameters): string[] {
  if (!Array.isArray(recipients)) return [];
  return recipients.filter((one) => typeof one === "string");
}

/**
 * The recipients in a file as `age -R` reads it: one a line, `#` starts a remark. So are those that
 * sshd and code hosts keep, authorized_keys.
 *
 * @param name of the file, for messages
 * @throws BackupError `config/recipient`
 */
export function parseRecipients(content: string, name: string): string[] {
  const recipients = linesOf(content);
  for (const { line, text } of recipients) {
    if (!isRecipient(text)) throw badRecipient(text, `Line ${line} of "${name}"`);
  }
  if (recipients.length > 0) return withoutDoubles(recipients.map(({ text }) => text));
  throw new BackupError("config/recipient", `There is no recipient in "${name}"`, { hint });
}

/** Each key once, SSH keys without the options that authorized_keys may have before them. */
export function withoutDoubles(recipients: readonly string[]): string[] {
  const known = new Map<string, string>();
  for (const text of recipients) {
    const one = plainRecipient(text);
    const key = withoutComment(one);
    if (!known.has(key)) known.set(key, one);
  }
  return [...known.values()];
}

function plainRecipient(text: string): string {
  if (!isSshLine(text)) return text;
  const key = parseSshPublicKey(text);
  return "wrong" in key ? text : sshLine(key);
}

/** What two recipients are compared by: an SSH key's comment is nobody's key. */
export function withoutComment(recipient: string): string {
  return recipient.split(" ", 2).join(" ");
}

/**
 * The error of something that is no recipient.
 *
 * @param where it stands, as the start of a sentence
 */
export function badRecipient(text: string, where: string): BackupError {
  // What somebody took for the public half may be the secret one.
  const what = isSecretLooking(text) ? "a secret identity" : JSON.stringify(text);
  const wrong = whyNoRecipient(text);
  return new BackupError("config/recipient", `${where} is no recipient: ${what}`, {
    hint: wrong === undefined ? hint : `${wrong} ${hint}`,
  });
}

/** What is wrong with what looks like a recipient, as a sentence; undefined where nobody can tell. */
export function whyNoRecipient(text: string): string | undefined {
  if (isSecretLooking(text)) return undefined;
  if (isSshLine(text)) {
    const key = parseSshPublicKey(text);
    return "wrong" in key ? key.wrong : undefined;
  }
  if (/^age1\S*$/i.test(text)) return "It is cut, or has a wrong letter.";
  return undefined;
}

/** True for what must not be shown, even where it does not belong. */
export function isSecretLooking(text: string): boolean {
  return /secret|private|age-plugin/i.test(text);
}

const hint =
  "A recipient is a public key: age1 and 58 letters, as `dbbackup key new` makes it, or " +
  "the line of an SSH key's .pub file.";

/** What a recipient has to be, for a config's problems. */
export const recipientForm = "a public key: age1 and 58 letters, or of SSH";

/**
 * The identities in a file as `age -i` reads it: one a line, `#` starts a remark; or one SSH key.
 *
 * @param name of where it is from, for messages; no content of it is ever told
 * @throws BackupError `config/identity-file`
 */
export function parseIdentities(content: string, name: string): string[] {
  if (isPrivateKey(content)) {
    parseSshPrivateKey(content, name);
    return [content];
  }
  const identities = linesOf(content);
  for (const { line, text } of identities) {
    if (!isIdentity(text) && pluginOfIdentity(text) === undefined) {
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
      "as `dbbackup key new` and age-keygen write it, or a secret SSH key.",
  });
}

function kindOf(text: string): string | undefined {
  if (isSshLine(text)) return "It is the public half of an SSH key; the secret one has no .pub.";
  if (isRecipient(text)) return "It is a recipient, the public half of a pair.";
  if (text.startsWith("age-encryption.org/") || text.includes("AGE ENCRYPTED FILE")) {
    return "The file is encrypted itself: decrypt it with `age -d` first.";
  }
  if (/^AGE-(PLUGIN|SECRET)-/i.test(text)) return "It is cut, or has a wrong letter.";
  if (text.startsWith("PuTTY-User-Key-File")) {
    return "It is a key of PuTTY: export it as an OpenSSH key first.";
  }
  return undefined;
}

function linesOf(content: string): { line: number; text: string }[] {
  return content.split(/\r?\n/)
    .map((text, index) => ({ line: index + 1, text: text.trim() }))
    .filter(({ text }) => text !== "" && !text.startsWith("#"));
}

/** Whether a lower-case text is bech32, with this prefix and a right checksum, of so many bytes. */
function isBech32(text: string, prefix: string, length: number): boolean {
  // BIP 173 ends at 90 characters, for which its checksum is made; age goes on.
  const decoded = bech32.decodeUnsafe(text, false);
  return decoded?.prefix === prefix && bech32.fromWordsUnsafe(decoded.words)?.length === length;
}
