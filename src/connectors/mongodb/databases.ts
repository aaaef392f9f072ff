import type { MongoClient } from "mongodb";
import { BackupError } from "../../core/errors.ts";
import { isOwn } from "./archive/namespace.ts";
import { refused, serverCode, serverCodes } from "./errors.ts";
import { isDatabaseName } from "./names.ts";
import type { MongoAddress } from "./uri.ts";

/** Databases that belong to a server and not to its users. */
const internal = ["admin", "config", "local"];

/**
 * The names of the databases meant: those selected, or all that this user may see. `admin` counts
 * only if somebody keeps collections of his own in it.
 *
 * @throws BackupError `connection/no-database`
 */
export async function listDatabases(
  client: MongoClient,
  { selected, label, connection }: MongoAddress,
): Promise<string[]> {
  const names = await databaseNames(client, connection.user === undefined);
  if (selected === undefined) {
    if (names === undefined) {
      throw new BackupError("connection/denied", `${label} does not tell which databases it has`, {
        hint: "Name them: one in the URL, or several with databases in the config.",
      });
    }
    const isUsed = names.includes("admin") && await hasCollections(client, "admin");
    return names.filter((name) => !internal.includes(name) || (name === "admin" && isUsed));
  }
  for (const name of selected) {
    if (name === "config" || name === "local") {
      throw new BackupError("connection/no-database", `Database "${name}" is the server's own`, {
        hint: "Name databases of your own; users and roles are dumped with all databases.",
      });
    }
    // A user of one database may not be shown it in the list, but may look inside.
    if (names?.includes(name)) continue;
    if (isDatabaseName(name) && await hasCollections(client, name)) continue;
    throw new BackupError("connection/no-database", `There is no database "${name}" at ${label}`, {
      hint: `It has ${names?.join(", ") || "none that this user may see"}.`,
    });
  }
  return [...selected];
}

/**
 * The databases that a server shows, sorted; undefined where it refuses to list them.
 *
 * @param isAnonymous whether a server that wants a login is to be told from one that never lists
 */
export async function databaseNames(
  client: MongoClient,
  isAnonymous = false,
): Promise<string[] | undefined> {
  const answer = await client.db("admin").command({ listDatabases: 1, nameOnly: true })
    .catch((error: unknown) => {
      if (isAnonymous && serverCode(error) === serverCodes.unauthorized) throw error;
      return refused(error);
    });
  return (answer?.["databases"] as { name: string }[] | undefined)?.map(({ name }) => name).sort();
}

/** Whether a database has anything in it but the server's own. */
export async function hasCollections(client: MongoClient, name: string): Promise<boolean> {
  const found = await client.db(name).listCollections({}, { nameOnly: true }).toArray();
  return found.some((collection) => isOwn(collection.name));
}
