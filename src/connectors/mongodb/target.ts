import type { MongoClient } from "mongodb";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { counted, listed } from "../../core/text.ts";
import type { Runtime } from "../../core/runtime.ts";
import type {
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreStep,
} from "../../contracts/restore.ts";
import type { DatabaseInventory, InventoryObject } from "../../contracts/inventory.ts";
import { checked, refuse } from "../../contracts/refusal.ts";
import { isOwn } from "./archive/namespace.ts";
import type { Client } from "./client.ts";
import { databaseNames } from "./databases.ts";
import { serverCode, serverCodes } from "./errors.ts";
import { isMark, markOf } from "./leftover.ts";
import { assertNames } from "./names.ts";
import { hasOplog } from "./recipe.ts";
import { may } from "./privileges.ts";
import { locksOf, readServer, type Server } from "./server.ts";
import { select, type Selection } from "./selection.ts";
import { requireTool } from "./tools.ts";
import type { MongoAddress } from "./uri.ts";

/** Finds out what a restore would do. */
export async function planRestore(
  client: Client,
  address: MongoAddress,
  chain: RestorableChain,
  options: RestoreOptions,
  o: Abortable & { runtime: Runtime },
): Promise<RestorePlan> {
  const selection = select(chain, options);
  const targets = selection.databases.map((database) => {
    const to = targetName(database.database, selection, address);
    assertNames(to, database.objects.filter(isCollection).map(({ name }) => name));
    return { database, to };
  });
  const server = await client.ask((driver) => readServer(driver), o);
  const { version } = selection.backup.manifest.source;
  await checked(() => assertNewEnough(version, server.version), options);
  await checked(() => requireTool("mongorestore", address, o), options);
  const steps: RestoreStep[] = [];
  for (const { database, to } of targets) {
    await checked(() => assertMayRestore(server, to), options);
    steps.push(
      await client.ask(
        (driver) => planDatabase(driver, database, to, selection, options),
        o,
      ),
    );
  }
  return {
    steps,
    isCheckedFirst: steps.some(({ mode }) => mode === "replace"),
    warnings: [...warningsOf(selection, options, steps), ...expiryWarnings(selection)],
    target: `MongoDB ${server.version} at ${address.label}`,
    sourceId: server.sourceId,
    ...locksOf(server, steps.map(({ to }) => to)),
  };
}

function assertNewEnough(dumped: string, target: string): void {
  const [ours, theirs] = [dumped, target].map((version) => version.split(".").map(Number));
  const [major = 0, minor = 0] = ours!;
  const isOlder = theirs![0]! < major || (theirs![0] === major && (theirs![1] ?? 0) < minor);
  if (!isOlder) return;
  throw new BackupError(
    "restore/target-too-old",
    `The target runs MongoDB ${target}, older than the ${dumped} that was dumped`,
    { hint: `Restore to a server of version ${major}.${minor} or newer.` },
  );
}

/** What was restored is counted, so a user who may only write would fail after all is done. */
function assertMayRestore({ privileges }: Server, db: string): void {
  const missing = ["insert", "find"].filter((action) =>
    !may(privileges, action, { db, collection: "" })
  );
  if (missing.length === 0) return;
  throw new BackupError(
    "connection/denied",
    `This user lacks ${missing.join(" and ")} on database "${db}"`,
    { hint: "Grant it the built-in roles restore and readAnyDatabase." },
  );
}

/** A target's URL may name another database, for a backup or choice of one. */
function targetName(from: string, selection: Selection, { selected, label }: MongoAddress): string {
  if (selected === undefined || selected.includes(from)) return from;
  if (selection.databases.length === 1 && selected.length === 1) return selected[0]!;
  const names = selection.databases.map(({ database }) => database).join(", ");
  throw new BackupError(
    "restore/no-such-object",
    `Cannot tell which of the backup's databases (${names}) goes into ${label}`,
    { hint: "Choose one database of the backup, or name no database in the target's URL." },
  );
}

async function planDatabase(
  client: MongoClient,
  { database: from, objects }: DatabaseInventory,
  to: string,
  selection: Selection,
  options: RestoreOptions,
): Promise<RestoreStep> {
  await assertNoTwin(client, to);
  const present = await collectionNames(client, to).catch((error: unknown) => {
    if (serverCode(error) !== serverCodes.invalidNamespace) throw error;
    throw new BackupError(
      "restore/bad-name",
      `The server takes no database named "${to}": ${(error as Error).message}`,
      { cause: error, hint: "Choose another name." },
    );
  });
  const wanted = new Set(objects.filter((one) => one.type !== "index").map(({ name }) => name));
  const inTheWay = selection.isPartial ? present.filter((name) => wanted.has(name)) : present;
  if (options.isDifferenceAccepted && await isMarked(client, to, options)) {
    return { from, to, mode: "fill", adopts: to };
  }
  if (present.length === 0) return { from, to, mode: "create" };
  if (inTheWay.length === 0) return { from, to, mode: "fill" };
  if (!options.isOverwrite) {
    const named = inTheWay.slice(0, 5).map((name) => JSON.stringify(name)).join(", ");
    const refusal = `Database "${to}" has ${
      counted(inTheWay.length, "collection")
    } already: ${named}`;
    const hint = "Restore into another database, or pass --overwrite: what is there is then lost.";
    refuse(new BackupError("restore/not-empty", refusal, { hint }), options);
  }
  return { from, to, mode: "replace", loses: await lossOf(client, to, inTheWay, selection) };
}

/** Whether it holds what an earlier restore of this backup left because it differed. */
async function isMarked(
  client: MongoClient,
  to: string,
  { backupId }: RestoreOptions,
): Promise<boolean> {
  const name = markOf(backupId);
  return await client.db(to).listCollections({ name }, { nameOnly: true }).hasNext();
}

/** MongoDB forbids two databases whose names differ only by case. */
async function assertNoTwin(client: MongoClient, to: string): Promise<void> {
  const isTwin = (name: string) => name !== to && name.toLowerCase() === to.toLowerCase();
  const twin = (await databaseNames(client))?.find(isTwin);
  if (twin === undefined) return;
  throw new BackupError(
    "restore/not-empty",
    `Cannot make database "${to}" beside "${twin}": the names differ only by case`,
    { hint: "Restore under another name, or drop the one that is there." },
  );
}

/** The collections and views of a database but the server's own. */
export async function collectionNames(client: MongoClient, db: string): Promise<string[]> {
  const found = await client.db(db).listCollections({}, { nameOnly: true }).toArray();
  return found.map(({ name }) => name).filter((name) => isOwn(name) && !isMark(name)).sort();
}

async function lossOf(
  client: MongoClient,
  to: string,
  names: readonly string[],
  selection: Selection,
): Promise<string> {
  const db = client.db(to);
  const counts = await Promise.all(
    names.map((name) => db.collection(name).estimatedDocumentCount().catch(() => 0)),
  );
  const documents = counts.reduce((sum, count) => sum + count, 0);
  const what = selection.isPartial
    ? `Collections ${names.map((name) => JSON.stringify(name)).join(", ")} of`
    : "All of";
  return `${what} database "${to}" is dropped first: ${counted(names.length, "collection")} with ` +
    `about ${
      counted(documents, "document")
    }. MongoDB cannot rename a database, so nothing of it is kept`;
}

function isCollection({ type }: InventoryObject): boolean {
  return type === "collection" || type === "view";
}

/** What expired since the backup goes as soon as it is back. */
function expiryWarnings({ databases }: Selection): string[] {
  const names = databases.flatMap(({ database, objects }) =>
    objects.filter(({ expires }) => expires === true).map(({ name }) => `${database}.${name}`)
  );
  if (names.length === 0) return [];
  const shown = listed(names.map((name) => JSON.stringify(name)), 5);
  return [
    `The server removes documents of ${shown} when their time has passed (TTL), those of ` +
    "the backup, too: their counts are not compared. To keep them, restore without indexes " +
    "(--restore-arg=--noIndexRestore --accept-differences)",
  ];
}

function warningsOf(
  { backup, isPartial }: Selection,
  options: RestoreOptions,
  steps: readonly RestoreStep[],
): string[] {
  const { manifest } = backup;
  const warnings: string[] = [];
  if (!hasOplog(manifest)) {
    warnings.push("The backup shows no single moment if something wrote while it was taken");
  }
  if (options.isWithAccounts && steps.some(({ from, to }) => from !== to)) {
    warnings.push("Users and roles keep the names of their databases, though these get others");
  }
  const hasAccounts = backup.artifacts.some(({ role }) => role === "accounts");
  if (options.isWithAccounts && !hasAccounts) warnings.push("The backup holds no users and roles");
  if (options.isWithAccounts && hasAccounts && isPartial) {
    warnings.push("Users and roles are restored whole, not only those of the chosen collections");
  }
  return warnings;
}
