import { z } from "zod";
import {
  isRecipient,
  isSecretLooking,
  recipientForm,
  whyNoRecipient,
} from "../../codecs/age-keys.ts";
import { textSchema } from "../../contracts/connection.ts";
import type { EncryptionSettings } from "../definitions.ts";
import { key, type Reading } from "../job-key.ts";
import type { ConfigPath, Problem } from "../problems.ts";
import { besideConfig } from "../references.ts";
import { reference } from "../schema-parts.ts";

/** For whom artifacts are encrypted. */
export const encryptionSchema = z.union([
  z.literal("none"),
  z.strictObject({
    recipients: z.array(textSchema).min(1).optional().describe(
      "Public keys, age1… or of SSH; each of their owners can read the backups. ${file:PATH} has one " +
        "a line.",
    ),
    passphrase: reference.optional().describe("Who knows it can read the backups: ${X}."),
  }),
], { error: 'expected "none", { recipients: ["age1…"] } or { passphrase }' });

/** `encryption` of a job. */
export const encryptionKey = key({
  schema: encryptionSchema.optional().describe(
    "For whom artifacts are encrypted. Default nobody.",
  ),
  as: "encryption",
  read: encryptionOf,
  check: (encryption, { path }) => encryptionProblems(encryption, path),
  // Shown by what shows every reference.
  show: (encryption) => encryption ?? "none",
});

/** The encryption of a job, which is checked already. */
function encryptionOf(
  written: z.output<typeof encryptionSchema> | undefined,
  { base }: Reading,
): EncryptionSettings | undefined {
  if (written === undefined || written === "none") return undefined;
  const { recipients = [], passphrase } = written;
  if (passphrase !== undefined) return { passphrase: besideConfig(passphrase, base) };
  return {
    recipients: recipients.map((one) => typeof one === "string" ? one : besideConfig(one, base)),
  };
}

/** Each recipient must be one, and there is one way to decrypt, not two. */
function encryptionProblems(
  written: z.output<typeof encryptionSchema> | undefined,
  path: ConfigPath,
): Problem[] {
  if (written === undefined || written === "none") return [];
  const { recipients, passphrase } = written;
  const problems: Problem[] = [];
  if ((recipients === undefined) === (passphrase === undefined)) {
    const found = recipients === undefined ? "an empty object" : "both recipients and passphrase";
    problems.push({ path, found, expected: "either recipients or passphrase" });
  }
  for (const [index, text] of (recipients ?? []).entries()) {
    // What a reference leads to is looked at when it is followed.
    if (typeof text !== "string" || isRecipient(text)) continue;
    const why = whyNoRecipient(text);
    problems.push({
      path: [...path, "recipients", index],
      found: isSecretLooking(text) ? "a secret identity" : JSON.stringify(text),
      expected: why === undefined ? recipientForm : `${recipientForm}. ${why}`,
    });
  }
  return problems;
}
