import type { MongoClient } from "mongodb";
import type { Emit } from "../../contracts/dump.ts";
import { type Abortable, bytesOf } from "../../core/bytes.ts";
import { accountsFormat } from "./archive/walker.ts";
import { type ArchiveCollection, writeArchive } from "./archive/write.ts";
import type { Client } from "./client.ts";
import type { Server } from "./server.ts";
import type { MongoAddress } from "./uri.ts";

/**
 * Dumps users and roles, where there are any and they can be read.
 *
 * @returns what to know about it
 */
export async function emitAccounts(
  client: Client,
  { server, address, emit }: {
    readonly server: Server;
    readonly address: MongoAddress;
    readonly emit: Emit;
  },
  o: Abortable,
): Promise<string[]> {
  const { missing } = server.accounts;
  if (missing !== undefined) {
    // Of all databases, that is an omission.
    return address.selected === undefined
      ? []
      : [`Users and roles are not in the backup. ${missing}`];
  }
  const accounts = await client.ask(
    (driver) => readAccounts(driver, server.version, address.selected),
    o,
  );
  const head = {
    role: "accounts",
    databases: address.selected ?? [],
    format: accountsFormat.id,
    slug: "accounts",
  } as const;
  if (accounts !== undefined) await emit(head, bytesOf(accounts));
  return [];
}

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
