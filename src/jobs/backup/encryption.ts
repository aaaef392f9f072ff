import type { EncryptionSettings } from "../../config/model.ts";
import type { Encryption } from "../../contracts/codec.ts";
import { BackupError } from "../../core/errors.ts";
import type { Secrets } from "../../core/secret.ts";

/**
 * Looks the passphrase of a job up, before anything else of its run.
 *
 * @throws BackupError `config/passphrase` for an empty one, and those of resolving secrets
 */
export async function resolveEncryption(
  settings: EncryptionSettings | undefined,
  secrets: Secrets,
): Promise<Encryption | undefined> {
  if (settings === undefined || "recipients" in settings) return settings;
  const passphrase = await secrets.resolve(settings.passphrase);
  if (passphrase !== "") return { passphrase };
  throw new BackupError(
    "config/passphrase",
    `The passphrase is empty: ${settings.passphrase.describe()}`,
    { hint: "Give it a long one, such as ten random words; who knows it can read the backup." },
  );
}
