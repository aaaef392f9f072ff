import { parseRecipients, withoutDoubles } from "../../codecs/age-keys.ts";
import { checkRecipients } from "../../codecs/age-recipients.ts";
import type { EncryptionSettings } from "../../config/model.ts";
import type { Encryption, KeyAid } from "../../contracts/codec.ts";
import { BackupError } from "../../core/errors.ts";
import type { Text } from "../../core/secret.ts";
import type { JobContext } from "../shared/context.ts";

/**
 * Looks up whom a job encrypts to, or its passphrase, before anything else of its run.
 *
 * @throws BackupError `config/passphrase` for an empty one, `config/recipient`,
 * `config/plugin-missing`, and those of resolving secrets
 */
export async function resolveEncryption(
  settings: EncryptionSettings | undefined,
  o: Pick<JobContext, "runtime" | "signal" | "keyAid">,
): Promise<Encryption | undefined> {
  if (settings === undefined) return undefined;
  const { signal, runtime } = o;
  if ("recipients" in settings) {
    const aid: KeyAid = o.keyAid ??
      { signal, runtime, tell: (text) => runtime.log.warn("{text}", { text }) };
    const texts = await Promise.all(settings.recipients.map((one) => recipientsOf(one, aid)));
    const recipients = withoutDoubles(texts.flat());
    await checkRecipients(recipients, aid);
    return { recipients, aid };
  }
  const passphrase = await runtime.secrets.resolve(settings.passphrase);
  if (passphrase !== "") return { passphrase };
  throw new BackupError(
    "config/passphrase",
    `The passphrase is empty: ${settings.passphrase.describe()}`,
    { hint: "Give it a long one, such as ten random words; who knows it can read the backup." },
  );
}

async function recipientsOf(text: Text, { runtime }: KeyAid): Promise<string[]> {
  if (typeof text === "string") return [text];
  const content = await runtime.secrets.resolve(text, { isPublic: true });
  return parseRecipients(content, text.describe());
}
