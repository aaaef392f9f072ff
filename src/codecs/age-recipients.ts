import type { Recipient } from "age-encryption";
import type { KeyAid } from "../contracts/codec.ts";
import { BackupError } from "../core/errors.ts";
import { isNativeRecipient } from "./age-keys.ts";
import { assertPlugin, pluginOfRecipient, pluginRecipient } from "./age-plugin.ts";
import { sshRecipient } from "./age-ssh.ts";
import { parseSshPublicKey } from "./ssh-public-key.ts";

/**
 * Makes recipients of texts that are valid.
 *
 * @throws BackupError `config/recipient`
 */
export async function openRecipients(
  texts: readonly string[],
  aid: KeyAid | undefined,
): Promise<(string | Recipient)[]> {
  assertTogether(texts);
  return await Promise.all(texts.map((text) => openRecipient(text, aid)));
}

/**
 * Looks whether all can be used here, before a run reads anything.
 *
 * @throws BackupError `config/recipient`, `config/plugin-missing`
 */
export async function checkRecipients(texts: readonly string[], aid: KeyAid): Promise<void> {
  await openRecipients(texts, aid);
  for (const text of texts) {
    const plugin = isNativeRecipient(text) ? undefined : pluginOfRecipient(text);
    if (plugin !== undefined) await assertPlugin(plugin, `encrypt to ${text}`, aid);
  }
}

async function openRecipient(text: string, aid: KeyAid | undefined): Promise<string | Recipient> {
  if (isNativeRecipient(text)) return text;
  const plugin = pluginOfRecipient(text);
  if (plugin === undefined) {
    const key = parseSshPublicKey(text);
    if ("wrong" in key) throw new TypeError(key.wrong);
    return await sshRecipient(key);
  }
  if (aid === undefined) throw new TypeError(`age was opened without an aid for ${text}`);
  return pluginRecipient(text, plugin, aid);
}

/**
 * A file that a later computer must not open is as safe as its weakest recipient
 * (https://age-encryption.org/v1, label "postquantum").
 */
function assertTogether(texts: readonly string[]): void {
  const isSafe = (text: string) => /^age1(tag)?pq1/.test(text) && isNativeRecipient(text);
  const weak = texts.find((text) => !isSafe(text));
  const safe = texts.find(isSafe);
  if (weak === undefined || safe === undefined) return;
  throw new BackupError(
    "config/recipient",
    "Post-quantum recipients, age1pq1…, and others exclude each other",
    { hint: "Encrypt to age1pq1… only: one that is weaker opens the file for all." },
  );
}
