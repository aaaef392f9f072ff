import type { MongoClient } from "mongodb";
import { BackupError } from "../../core/errors.ts";
import { isOwn } from "./archive/namespace.ts";
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
  { selected, label }: MongoAddress,
): Promise<string[]> {
  const answer = await client.db("admin").command({ listDatabases: 1, nameOnly: true });
  const names = (answer["databases"] as { name: string }[]).map(({ name }) => name).sort();
  if (selected === undefined) {
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
    if (names.includes(name) || await hasCollections(client, name)) continue;
    throw new BackupError("connection/no-database", `There is no database "${name}" at ${label}`, {
      hint: `It has ${names.join(", ") || "none that this user may see"}.`,
    });
  }
  return [...selected];
}

/** Whether a database has anything in it but the server's own. */
export async function hasCollections(client: MongoClient, name: string): Promise<boolean> {
  const found = await client.db(name).listCollections({}, { nameOnly: true }).toArray();
  return found.some((collection) => isOwn(collection.name));
}
