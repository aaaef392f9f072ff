import {
  databaseFromUrl,
  databaseWithPassword,
  destinationFromUrl,
  givenSecret,
  givenUrl,
  takesPassword,
} from "../config/adhoc.ts";
import {
  type Config,
  type DatabaseDefinition,
  defaultStallTimeoutMs,
  type DestinationDefinition,
} from "../config/model.ts";
import { openWithLimits } from "../connectors/limits.ts";
import { BackupError, hasCode } from "../core/errors.ts";
import { known } from "../core/secret.ts";
import { suggestion } from "../core/text.ts";
import { schemeOf } from "../registry.ts";
import type { Session } from "./session.ts";

/**
 * The destinations that `--from` or `--to` name on the command line: paths, URLs, `env:NAME`, and
 * the names of a config that `--config` names.
 */
export async function adHocDestinations(
  given: readonly string[],
  session: Session,
): Promise<DestinationDefinition[]> {
  const config = await session.namedConfig();
  const o = { env: session.host.env, secrets: session.secrets };
  const result: DestinationDefinition[] = [];
  for (const text of given) {
    const declared = config?.destinations.get(text);
    if (declared !== undefined) {
      result.push(declared);
      continue;
    }
    const { url, isExposed } = await givenUrl(text, o);
    if (isExposed && session.isTyped(text)) warnExposed(session);
    const found = destinationFromUrl(url, session.storages(), session.host.cwd);
    result.push({ ...found, argument: isBareWord(text) ? `./${text}` : text });
  }
  return result;
}

/** What could be the name of a destination in a config as well as that of a folder. */
export function isBareWord(text: string): boolean {
  return !/[/\\]|^\.|^~/.test(text) && schemeOf(text) === undefined;
}

/**
 * The database that a flag names: a URL, `env:NAME`, or a name of the config, where there is one.
 *
 * @param passwordFile `--password-file`, which is always about the database
 */
export async function givenDatabase(
  text: string,
  passwordFile: string | undefined,
  config: Config | undefined,
  session: Session,
): Promise<DatabaseDefinition> {
  const secret = passwordFile === undefined
    ? undefined
    : givenSecret(passwordFile, session.host.cwd);
  const declared = config?.databases.get(text);
  if (declared !== undefined) {
    return secret === undefined ? declared : databaseWithPassword(declared, secret);
  }
  if (config !== undefined && schemeOf(text) === undefined) {
    throw new BackupError(
      "usage/unknown-database",
      `There is no database "${text}" in the config`,
      {
        hint: `${suggestion(text, [...config.databases.keys()])} Or give a URL.`,
      },
    );
  }
  const o = { env: session.host.env, secrets: session.secrets };
  const { url, isExposed } = await givenUrl(text, o);
  if (isExposed && session.isTyped(text)) warnExposed(session);
  const database = databaseFromUrl(url, session.connectors(), secret);
  if (isExposed || secret !== undefined) return database;
  return await withAskedPassword(database, session);
}

/** Asks for a password, as psql does: only when the server wants one and a person is there. */
async function withAskedPassword(
  database: DatabaseDefinition,
  session: Session,
): Promise<DatabaseDefinition> {
  const { ask } = session.host;
  if (ask === undefined || session.flags.json) return database;
  if (!takesPassword(database, known("x"))) return database;
  const o = { signal: session.host.signal, runtime: session.runtime() };
  try {
    const connector = await openWithLimits(database, { answerMs: defaultStallTimeoutMs }, o);
    try {
      await connector.inspect(o);
      return database;
    } finally {
      await connector.close().catch(() => {});
    }
  } catch (error) {
    // Anything else is for the command itself to meet and tell.
    if (!hasCode(error, "connection/authentication")) return database;
  }
  const password = await ask(`Password for ${database.kind.title} "${database.name}": `, {
    isHidden: true,
  });
  session.secrets.hide(password);
  return databaseWithPassword(database, known(password));
}

function warnExposed(session: Session): void {
  session.warn(
    "The URL contains a password visible to other users of this machine. " +
      "Leave it out and be asked, or use --password-file or env:NAME.",
  );
}
