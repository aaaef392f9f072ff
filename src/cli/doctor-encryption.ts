import { withoutComment } from "../codecs/age-keys.ts";
import type { Config, JobDefinition } from "../config/model.ts";
import type { OtherIdentity } from "../contracts/codec.ts";
import { toBackupError } from "../core/errors.ts";
import { briefWords, listed } from "../core/text.ts";
import { resolveEncryption } from "../jobs/backup/encryption.ts";
import { type Examination, failed, type Finding, ok } from "./doctor.ts";
import { keyAidOf, resolveIdentities } from "./encryption.ts";
import type { Session } from "./session.ts";

/**
 * Looks at the keys of a job that encrypts: whether its recipients can be used here, and whether an
 * identity of the config belongs to one of them. Nobody is asked for anything.
 */
export async function examineEncryption(
  { name, encryption }: JobDefinition,
  config: Config,
  session: Session,
): Promise<Examination> {
  const base = { what: "encryption", name } as const;
  try {
    const resolved = await resolveEncryption(encryption, keyAidOf(session));
    if (resolved === undefined || !("recipients" in resolved)) {
      return { ...base, findings: [ok("with a passphrase")], codes: [], facts: {} };
    }
    const { recipients } = resolved;
    const findings = [
      ok(`to ${listed(recipients.map(briefWords))}`),
      ...await openers(recipients, config, session),
    ];
    return { ...base, findings, codes: [], facts: { recipients } };
  } catch (error) {
    session.host.signal.throwIfAborted();
    return failed(base, error, session);
  }
}

async function openers(
  recipients: readonly string[],
  { identities }: Config,
  session: Session,
): Promise<Finding[]> {
  if (identities.length === 0) {
    return [ok("no identity is in the config: to restore, give it with --identity")];
  }
  const findings: Finding[] = [];
  const own: (string | OtherIdentity)[] = [];
  for (const secret of identities) {
    try {
      own.push(...await resolveIdentities(secret, session));
    } catch (error) {
      // It may well be kept where this machine is not.
      const { message } = toBackupError(error);
      findings.push({ status: "warning", text: `an identity of the config: ${message}` });
    }
  }
  const { identityToRecipient } = await import("age-encryption");
  const known = await Promise.all(
    own.map((one) => typeof one === "string" ? identityToRecipient(one) : one.recipient),
  );
  const named = new Set(recipients.map(withoutComment));
  const opening = known.find((one) => named.has(withoutComment(one)));
  if (opening !== undefined) findings.push(ok(`an identity of the config opens it`));
  else if (own.length > 0 && known.every((one) => /^(age1|ssh-)/.test(one))) {
    findings.push({
      status: "warning",
      text: "no identity of the config opens it: to restore, give another with --identity",
    });
  }
  return findings;
}
