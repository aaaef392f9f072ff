import { urlWithoutSecrets } from "../core/url.ts";
import { shellQuote } from "../core/text.ts";

/** What the user gave to `restore`, as far as the same restore needs it again. */
export interface RestoreWords {
  readonly config: string | undefined;
  readonly from: readonly string[];
  readonly to: string | undefined;
  readonly passwordFile: string | undefined;
  readonly databases: readonly string[];
  readonly only: readonly string[];
  readonly overwrite: boolean;
  readonly accounts: boolean;
  readonly parallel: number | undefined;
  readonly restoreArgs: readonly string[];
  readonly identities: readonly string[];
  readonly passphraseFile: string | undefined;
  readonly passphraseEnv: string | undefined;
  readonly yes: boolean;
}

/**
 * The command that takes what a restore left, as it is: the same restore, of that very backup, with
 * `--accept-differences`. It can be pasted into a shell, and no secret is in it: a password that was
 * typed into a URL is left out, and asked for again.
 *
 * @param what the backup's id, whole, or the job and a moment: "the newest" may be another by then
 */
export function adoptCommand(what: readonly string[], given: RestoreWords): string {
  const words = [
    "dbbackup",
    "restore",
    ...what,
    ...option("--config", given.config),
    ...given.from.flatMap((place) => option("--from", urlWithoutSecrets(place))),
    ...option("--to", given.to === undefined ? undefined : urlWithoutSecrets(given.to)),
    ...option("--password-file", given.passwordFile),
    ...given.databases.flatMap((name) => option("--database", name)),
    ...given.only.flatMap((name) => option("--only", name)),
    ...given.overwrite ? ["--overwrite"] : [],
    ...given.accounts ? ["--accounts"] : [],
    ...option("--jobs", given.parallel?.toString()),
    ...given.restoreArgs.flatMap((argument) => option("--restore-arg", argument)),
    ...given.identities.flatMap((path) => option("--identity", path)),
    ...option("--passphrase-file", given.passphraseFile),
    ...option("--passphrase-env", given.passphraseEnv),
    ...given.yes ? ["--yes"] : [],
    "--accept-differences",
  ];
  return words.map(shellQuote).join(" ");
}

/** A value that starts with a dash would be taken for an option, unless it is joined to its own. */
function option(name: string, value: string | undefined): string[] {
  if (value === undefined) return [];
  return value.startsWith("-") ? [`${name}=${value}`] : [name, value];
}
