import { BackupError } from "../../core/errors.ts";

// https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
const forbidden = /[/\\. "$\0]/;
const longestDatabaseBytes = 63;
const longestNamespaceBytes = 255;

/** Whether a server can have a database of this name. */
export function isDatabaseName(name: string): boolean {
  return name !== "" && !forbidden.test(name) && bytesOf(name) <= longestDatabaseBytes;
}

/**
 * Makes sure that a restore's database can have its name, with its collections in it.
 *
 * @throws BackupError `restore/bad-name`
 */
export function assertNames(database: string, collections: readonly string[]): void {
  if (!isDatabaseName(database)) {
    throw new BackupError(
      "restore/bad-name",
      `MongoDB cannot have a database named ${JSON.stringify(database)}`,
      {
        hint: `Choose a name of at most ${longestDatabaseBytes} bytes, without spaces, dots, ` +
          'slashes, backslashes, " or $. In a URL, %20 is a space.',
      },
    );
  }
  const tooLong = collections.find((name) =>
    bytesOf(database) + 1 + bytesOf(name) > longestNamespaceBytes
  );
  if (tooLong === undefined) return;
  throw new BackupError(
    "restore/bad-name",
    `Collection ${JSON.stringify(tooLong)} does not fit into database "${database}": together ` +
      `with the dot, their names are longer than ${longestNamespaceBytes} bytes`,
    { hint: "Choose a shorter name for the database." },
  );
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}
