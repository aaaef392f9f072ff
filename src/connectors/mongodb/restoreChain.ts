import type { MongoClient } from "mongodb";
import type {
  RestorableArtifact,
  RestorableChain,
  RestoreFailure,
  RestoreOptions,
  RestoreStep,
} from "../../contracts/restore.ts";
import type { Until } from "../../contracts/changes.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import { BackupError } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import { withTempDir } from "../../core/temp.ts";
import type { CollectionMetadata } from "./archive/namespace.ts";
import { bring } from "./bring.ts";
import type { RestoreContext } from "./context.ts";
import { refused } from "./errors.ts";
import { assertAllRestored } from "./feed.ts";
import { announced } from "./oplog/base.ts";
import { buildIndexes } from "./oplog/build-indexes.ts";
import { type OplogEntry, readEntry } from "./oplog/entry.ts";
import { inventoryOf } from "./oplog/inventory.ts";
import { compareTimes, oplogPosition } from "./oplog/position.ts";
import { isPassing } from "./oplog/catalog.ts";
import { type Replay, replay } from "./oplog/replay.ts";
import { serverSink } from "./oplog/server-sink.ts";
import { sliceEntries } from "./oplog/slice.ts";
import { fileSpools, type Spool } from "./oplog/spool.ts";
import { documentFlags } from "./recipe.ts";
import { collectionNames } from "./target.ts";
import { withTheRest } from "./undo.ts";

/** What a restore came to, before it is compared. */
export interface Restored {
  /** What should be there now, by the names of the source. */
  readonly inventory: readonly DatabaseInventory[];
  readonly failures: readonly RestoreFailure[];
  /** Steps that the plan did not have. */
  readonly added: readonly RestoreStep[];
}

/**
 * Restores a full backup and the oplog after it, up to a moment: mongorestore brings the documents,
 * and the rest is replayed through the driver, which needs no more than the built-in roles restore,
 * readWriteAnyDatabase and dbAdminAnyDatabase. Indexes are built when all is there.
 *
 * @throws BackupError `restore/failed`, `verification/gap`
 */
export async function restoreChain(
  chain: RestorableChain,
  steps: readonly RestoreStep[],
  r: RestoreContext,
): Promise<Restored> {
  const scene = sceneOf(chain, steps, r);
  const { added, passing } = scene;
  if (steps.length === 0) return { inventory: [], failures: [], added };
  try {
    return await withTempDir(
      r.runtime,
      0,
      (folder) => restoreData(chain, scene, fileSpools(folder), r),
    );
  } catch (error) {
    throw await withTheRest(error, [...steps, ...added, ...passing], r);
  }
}

/** Where a restore puts what. */
interface Scene {
  readonly steps: readonly RestoreStep[];
  /** Whether everything is restored, each database under its own name. */
  readonly isWhole: boolean;
  /** Databases that were there at the moment, and at the end of no backup. */
  readonly added: RestoreStep[];
  /**
   * Databases that are gone at the end: they have other names meanwhile, so that they are in nobody's
   * way. What they had can have been renamed into one that stays.
   */
  readonly passing: RestoreStep[];
}

function sceneOf(
  [base]: RestorableChain,
  steps: readonly RestoreStep[],
  { selection, options, address }: RestoreContext,
): Scene {
  const isWhole = !selection.isPartial && options.databases === undefined &&
    address.selected === undefined;
  const scene: Scene = { steps, isWhole, added: [], passing: [] };
  if (!isWhole) return scene;
  for (const { database } of base!.inventory.databases) {
    if (!steps.some(({ from }) => from === database)) pass(database, scene, options);
  }
  return scene;
}

function pass(from: string, { passing }: Scene, { backupId }: RestoreOptions): string {
  const to = `dbbackup_passing_${passing.length + 1}_${backupId.slice(-24)}`;
  passing.push({ from, to, mode: "create" });
  return to;
}

async function restoreData(
  chain: RestorableChain,
  scene: Scene,
  spool: () => Spool,
  r: RestoreContext,
): Promise<Restored> {
  const [base, ...increments] = chain;
  const { BSON } = await import("mongodb");
  const sink = serverSink(r.client, r);
  const under = replay({
    sink,
    spool,
    nameOf: (db, collection) => nameOf(db, collection, scene, r),
    isPassing: (db) => scene.passing.some(({ from }) => from === db),
    onDatabase: (db) => addDatabase(db, scene, r),
  });
  const window = spool();
  for (const artifact of base!.artifacts.filter(({ role }) => role === "dump")) {
    await bringDocuments(artifact, [...scene.steps, ...scene.passing], {
      announce(entry) {
        const { namespace, state } = announced(entry, BSON);
        under.announce(namespace, state);
      },
      hold: (entry) => window.push(new Uint8Array(entry)),
    }, r);
  }
  for (const document of window.documents()) await under.entry(readEntry(document)!, "window");
  window.drop();
  await under.flush();
  countFrom(base!.inventory.databases, under);

  const replayed = await replayAll(
    increments,
    oplogPosition(base!.manifest.position.to)!,
    under,
    r,
  );
  assertNamed(under, scene, chain);
  await under.end();
  const failures = await buildIndexes(under, sink, r.options);
  for (const { target, change } of under.expiring()) await sink.modify(target, change);
  await r.client.ask((driver) => confirmed(driver, scene.steps[0]!.to), r);
  r.runtime.log.info("Replayed {entries} of the oplog, up to {t}:{i}", {
    ...{
      entries: counted(replayed.count, "entry", "entries"),
      t: replayed.last.t,
      i: replayed.last.i,
    },
  });
  return { inventory: inventoryOf(under.collections), failures, added: scene.added };
}

/** What is there at the end is never dropped because an inventory does not name it. */
function assertNamed({ collections }: Replay, { passing }: Scene, chain: RestorableChain): void {
  const named = passing.find(({ from }) =>
    [...collections].some(([namespace, { isTemporary }]) =>
      !isTemporary && namespace.startsWith(`${from}.`)
    )
  );
  if (named === undefined) return;
  const { id, consistentAt } = chain.at(-1)!.manifest;
  throw new BackupError(
    "restore/failed",
    `Database "${named.from}" is there at the end of the oplog, and the inventory of ${id} does not ` +
      "name it",
    {
      hint: `Restore with --at to a moment shortly before ${consistentAt}: then the oplog alone ` +
        "says what is there.",
    },
  );
}

/** Where a collection of the backup goes; undefined where it is not restored. */
function nameOf(
  db: string,
  collection: string,
  scene: Scene,
  { selection, options }: RestoreContext,
): string | undefined {
  const { steps, added, passing, isWhole } = scene;
  const known = [...steps, ...added, ...passing].find(({ from }) => from === db);
  if (isWhole && known === undefined) {
    // One that was made after the full backup. At the end of the last one it is gone again.
    return options.until === undefined ? pass(db, scene, options) : db;
  }
  // What `$out` makes on its way becomes one that may have been chosen.
  const isChosen = selection.has(db, collection) || (selection.isPartial && isPassing(collection));
  return isChosen ? known?.to : undefined;
}

/** A database that no backup of the chain ended with: it must not take the place of another. */
async function addDatabase(
  db: string,
  { steps, added, passing }: Scene,
  { client, ...r }: RestoreContext,
): Promise<void> {
  if ([...steps, ...passing].some(({ from }) => from === db)) return;
  const present = await client.ask((driver) => collectionNames(driver, db), r);
  if (present.length > 0) {
    throw new BackupError(
      "restore/not-empty",
      `Database "${db}" was there at that moment, and the target has one of this name already`,
      { hint: "Rename or drop the target's, or choose databases with --database." },
    );
  }
  added.push({ from: db, to: db, mode: "create" });
}

/** What is made of a base's archive beside its documents. */
interface BaseReader {
  announce(entry: CollectionMetadata): void;
  /** Takes the entries of the oplog that was written during the dump. */
  hold(entry: Uint8Array): void;
}

async function bringDocuments(
  artifact: RestorableArtifact,
  steps: readonly RestoreStep[],
  { announce, hold }: BaseReader,
  r: RestoreContext,
): Promise<void> {
  const how = { flags: documentFlags, onCollection: announce, onEntry: hold };
  assertAllRestored(await bring(artifact, steps, how, r));
}

/** What is exact in the base is counted on; the rest only the server knows. */
function countFrom(databases: readonly DatabaseInventory[], { collections }: Replay): void {
  for (const { database, objects } of databases) {
    for (const { name, count, isExact } of objects) {
      const state = collections.get(`${database}.${name}`);
      if (state !== undefined && isExact === true) state.count = count;
    }
  }
}

async function replayAll(
  increments: RestorableChain,
  from: { readonly t: number; readonly i: number },
  under: Replay,
  r: RestoreContext,
): Promise<{ count: number; last: { readonly t: number; readonly i: number } }> {
  const { until } = r.options;
  let last = from;
  let count = 0;
  let isOver = false;
  for (const { artifacts } of increments) {
    for (const artifact of artifacts.filter(({ role }) => role === "log")) {
      if (!isOver) assertJoins(artifact, last);
      // To its very end, wherever the replay stops: only that shows that it was read as it was written.
      for await (const entry of sliceEntries(artifact, r)) {
        isOver ||= until !== undefined && isBeyond(entry, until);
        if (isOver || compareTimes(entry.time, last) <= 0) continue;
        await under.entry(entry, "exact");
        last = entry.time;
        count++;
      }
    }
  }
  return { count, last };
}

/** A piece may begin before the last entry that was replayed, and never after it. */
function assertJoins(
  { from, volumes }: RestorableArtifact,
  last: { readonly t: number; readonly i: number },
): void {
  const begin = oplogPosition(from);
  if (begin !== undefined && compareTimes(begin, last) <= 0) return;
  throw new BackupError(
    "verification/gap",
    `Changes are missing between ${last.t}:${last.i} and the start of "${volumes[0]!.name}"`,
    { hint: "Restore to a moment before that with --at." },
  );
}

function isBeyond({ time, instantMs }: OplogEntry, until: Until): boolean {
  if ("at" in until) return instantMs > until.at.getTime();
  const position = oplogPosition(until.position);
  return position !== undefined && compareTimes(time, position) > 0;
}

/** Waits until most members of the target's set have all of it. */
async function confirmed(driver: MongoClient, db: string): Promise<void> {
  const nothing = { q: { _id: 0 }, limit: 1 };
  await driver.db(db).command({
    delete: "dbbackup.confirmed",
    deletes: [nothing],
    writeConcern: { w: "majority" },
  }).catch(refused);
}
