import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { InferValue } from "@optique/core/parser";
import { openIdentity } from "../codecs/age-identities.ts";
import {
  badRecipient,
  isRecipient,
  parseIdentities,
  parseRecipients,
  withoutDoubles,
} from "../codecs/age-keys.ts";
import { givenSecret } from "../config/adhoc.ts";
import type { EncryptionSettings } from "../config/model.ts";
import type { KeyAid, Keyring, OtherIdentity } from "../contracts/codec.ts";
import { BackupError, toBackupError } from "../core/errors.ts";
import { env, type Secret } from "../core/secret.ts";
import { listOption, object, textOption } from "./command.ts";
import type { KeyFlags } from "./flags.ts";
import type { Session } from "./session.ts";

/** The variable with an identity, or the path of a file with identities. */
export const identityVariable = "DBBACKUP_IDENTITY";
/** The variable with the passphrase of backups that are read. */
export const passphraseVariable = "DBBACKUP_PASSPHRASE";

const passphraseOptions = {
  passphraseFile: textOption(
    "--passphrase-file",
    "PATH",
    "A file with the passphrase, env:NAME or command:LINE.",
  ),
  passphraseEnv: textOption("--passphrase-env", "NAME", "The variable with the passphrase."),
};

/** The flags that say for whom a backup is encrypted. */
export const encryptionFlags = object({
  recipients: listOption(
    "--recipient",
    "KEY",
    "Encrypt to this public key, age1… or of SSH; several times for several. The passphrase's " +
      "flags exclude it.",
  ),
  recipientsFiles: listOption(
    "--recipients-file",
    "PATH",
    "As --recipient, one a line; authorized_keys is such a file.",
  ),
  ...passphraseOptions,
});

/** What {@link encryptionFlags} give. */
export type EncryptionFlags = InferValue<typeof encryptionFlags>;

/** The flags that say how an encrypted backup is opened. */
export const keyFlags = object({
  identities: listOption(
    "--identity",
    "PATH",
    `A file with age identities or a secret SSH key, env:NAME or command:LINE; the one that fits is taken. Default: $${identityVariable}, then ` +
      "the identities of the config.",
  ),
  passphraseFile: textOption(
    "--passphrase-file",
    "PATH",
    `A file with the passphrase, env:NAME or command:LINE. Default: $${passphraseVariable}.`,
  ),
  passphraseEnv: passphraseOptions.passphraseEnv,
});

/**
 * For whom the flags say to encrypt; undefined when they say nothing.
 *
 * @throws BackupError `usage/encryption`, `config/recipient`, `config/recipients-file`
 */
export async function givenEncryption(
  flags: EncryptionFlags,
  session: Session,
): Promise<EncryptionSettings | undefined> {
  const passphrase = givenPassphrase(flags, session);
  const recipients: string[] = [];
  for (const text of flags.recipients) {
    if (!isRecipient(text)) throw badRecipient(text, "The value of --recipient");
    recipients.push(text);
  }
  for (const path of flags.recipientsFiles) {
    recipients.push(...parseRecipients(await readRecipients(path, session), path));
  }
  if (recipients.length === 0) return passphrase === undefined ? undefined : { passphrase };
  if (passphrase === undefined) return { recipients: withoutDoubles(recipients) };
  throw new BackupError("usage/encryption", "Recipients and a passphrase exclude each other", {
    hint: "Encrypt to public keys, or with a passphrase.",
  });
}

/**
 * The keys that a command reads encrypted backups with. Nothing is looked up, and nobody is asked,
 * before something encrypted is met.
 */
export function givenKeyring(flags: KeyFlags | undefined, session: Session): Keyring {
  let identities: Promise<(string | OtherIdentity)[]> | undefined;
  let passphrases: Promise<string[]> | undefined;
  return {
    identities: () => identities ??= findIdentities(flags?.identities ?? [], session),
    passphrases: () => passphrases ??= findPassphrases(flags, session),
  };
}

/** What keys with a passphrase and plugins of age need; nobody is asked with `--json`. */
export function keyAidOf(session: Session): KeyAid {
  const { ask, signal, stderr } = session.host;
  const base = { signal, runtime: session.runtime() };
  if (ask === undefined || session.flags.json) return { ...base, tell: session.warn };
  return {
    ...base,
    async ask(question, o) {
      session.clearProgress();
      const answer = await ask(question, o);
      if (o.isHidden) session.secrets.hide(answer);
      return answer;
    },
    tell(text) {
      session.clearProgress();
      stderr.write(session.secrets.redact(`${text}\n`));
    },
  };
}

/** Every identity of the config; for checking it. @throws as {@link parseIdentities} */
export async function resolveIdentities(
  secret: Secret,
  session: Session,
): Promise<(string | OtherIdentity)[]> {
  const [part, ...others] = secret.parts;
  const isFile = part !== undefined && "file" in part && others.length === 0;
  const name = isFile ? JSON.stringify(part.file) : secret.describe();
  return opened(await session.secrets.resolve(secret), name, session);
}

async function findIdentities(
  paths: readonly string[],
  session: Session,
): Promise<(string | OtherIdentity)[]> {
  const given = paths.map((path) => givenSecret(path, session.host.cwd));
  const named = session.host.env[identityVariable] ?? "";
  if (given.length === 0 && /^(AGE-(SECRET-KEY|PLUGIN)-|-----BEGIN )/.test(named.trim())) {
    session.secrets.hide(named);
    return opened(named, identityVariable, session);
  }
  if (given.length === 0 && named !== "") given.push(givenSecret(named, session.host.cwd));
  const found = given.length > 0
    ? (await Promise.all(given.map((one) => resolveIdentities(one, session)))).flat()
    : await declaredIdentities(session);
  return [...new Set(found)];
}

/** Those of the config that can be had here: a key may well be kept where this machine is not. */
async function declaredIdentities(session: Session): Promise<(string | OtherIdentity)[]> {
  const found: (string | OtherIdentity)[] = [];
  for (const secret of session.loadedConfig()?.identities ?? []) {
    try {
      found.push(...await resolveIdentities(secret, session));
    } catch (error) {
      session.warn(`An identity of the config cannot be had: ${toBackupError(error).message}`);
    }
  }
  return found;
}

async function findPassphrases(flags: KeyFlags | undefined, session: Session): Promise<string[]> {
  const { env: environment, ask } = session.host;
  const given = flags === undefined ? undefined : givenPassphrase(flags, session);
  if (given !== undefined) return [await session.secrets.resolve(given)];
  if (environment[passphraseVariable]) {
    return [await session.secrets.resolve(env(passphraseVariable))];
  }
  const declared = await declaredPassphrases(session);
  if (declared.length > 0 || ask === undefined || session.flags.json) return declared;
  session.clearProgress();
  const typed = await ask("Passphrase of the backup: ", { isHidden: true });
  session.secrets.hide(typed);
  return typed === "" ? [] : [typed];
}

/** Those of the config's jobs that can be had here; what another job lacks is none of ours. */
async function declaredPassphrases(session: Session): Promise<string[]> {
  const jobs = [...session.loadedConfig()?.jobs.values() ?? []];
  const secrets = jobs.flatMap(({ encryption }) =>
    encryption !== undefined && "passphrase" in encryption ? [encryption.passphrase] : []
  );
  const found = await Promise.allSettled(secrets.map((one) => session.secrets.resolve(one)));
  const values = found.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
  return [...new Set(values)].filter((one) => one !== "");
}

function givenPassphrase(
  { passphraseFile, passphraseEnv }: {
    readonly passphraseFile: string | undefined;
    readonly passphraseEnv: string | undefined;
  },
  session: Session,
): Secret | undefined {
  if (passphraseFile !== undefined && passphraseEnv !== undefined) {
    throw new BackupError(
      "usage/encryption",
      "--passphrase-file and --passphrase-env exclude each other",
      { hint: "Give one of them." },
    );
  }
  if (passphraseEnv !== undefined) return env(passphraseEnv);
  if (passphraseFile === undefined) return undefined;
  return givenSecret(passphraseFile, session.host.cwd);
}

async function readRecipients(path: string, session: Session): Promise<string> {
  try {
    return await readFile(resolve(session.host.cwd, path), "utf8");
  } catch (cause) {
    throw new BackupError("config/recipients-file", `Cannot read the recipients file "${path}"`, {
      cause,
      hint: "Check that the file exists and that this user may read it.",
    });
  }
}

function opened(content: string, name: string, session: Session): (string | OtherIdentity)[] {
  const aid = keyAidOf(session);
  return parseIdentities(content, name).map((text) => {
    session.secrets.hide(text);
    return openIdentity(text, name, aid);
  });
}
