import type { MongoClient } from "mongodb";
import { type ArchiveCollection, writeArchive } from "./archive/write.ts";

/**
 * Users and roles as an archive that `mongorestore --archive` takes: it merges them into the
 * target's own, with their credentials. Made by hand, because mongodump gives them only mixed with
 * other collections, and a restore of data alone must not bring them along.
 *
 * @param databases only those defined in these databases; undefined for all
 * @returns undefined when there are none
 */
export async function readAccounts(
  client: MongoClient,
  serverVersion: string,
  databases: readonly string[] | undefined,
): Promise<Uint8Array | undefined> {
  const read = async (name: string, filter: object): Promise<ArchiveCollection> => {
    const cursor = client.db("admin").collection(name).find(filter, { raw: true });
    const documents = (await cursor.toArray()) as unknown as Uint8Array[];
    return { db: "admin", collection: name, metadata: metadataOf(name), type: "", documents };
  };
  const filter = databases === undefined ? {} : { db: { $in: [...databases] } };
  const users = await read("system.users", filter);
  const roles = await read("system.roles", filter);
  if (users.documents.length + roles.documents.length === 0) return undefined;
  // Without the version of its schema, mongorestore refuses them.
  const version = await read("system.version", { _id: "authSchema" });
  return writeArchive(serverVersion, [users, roles, version]);
}

function metadataOf(collection: string): string {
  const id = { v: { $numberInt: "2" }, key: { _id: { $numberInt: "1" } }, name: "_id_" };
  return JSON.stringify({ indexes: [id], collectionName: collection, type: "collection" });
}
