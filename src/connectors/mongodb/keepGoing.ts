import type { BSON, Db } from "mongodb";
import { hasCode } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import type { RestorableArtifact, RestoreFailure, RestoreStep } from "../../contracts/restore.ts";
import { elements, noDocument } from "./archive/bson.ts";
import { type CollectionMetadata, plainName } from "./archive/namespace.ts";
import type { OplogChange } from "./archive/oplog.ts";
import { readPrelude } from "./archive/prelude.ts";
import { bring, type Bringing } from "./bring.ts";
import { answered } from "./errors.ts";
import { announced } from "./oplog/base.ts";
import { type CollectionState, without } from "./oplog/catalog.ts";
import { fieldsOf, mapOf } from "./oplog/values.ts";
import { goingOnFlags, hasOplog } from "./recipe.ts";
import type { RestoreContext } from "./context.ts";

/** A collection or view as its backup describes it. */
interface Definition extends Pick<CollectionState, "options" | "indexes"> {
  readonly db: string;
  readonly name: string;
  readonly isView: boolean;
}

/**
 * Restores what can be restored. mongorestore gives up at the first collection, view or index that
 * the server refuses, so these are made here, one by one; it only brings the documents, and goes on
 * after each that fails.
 *
 * @returns what failed
 * @throws as feed, but for what mongorestore itself fails with
 */
export async function restoreGoingOn(
  dumps: readonly RestorableArtifact[],
  steps: readonly RestoreStep[],
  r: RestoreContext,
): Promise<RestoreFailure[]> {
  const { BSON } = await import("mongodb");
  const failures: RestoreFailure[] = [];
  for (const artifact of dumps) {
    const definitions = new Map<string, Definition>();
    for (const entry of await readPrelude(artifact.open(r))) {
      const isWanted = steps.some(({ from }) => from === entry.db) &&
        r.selection.has(entry.db, entry.collection);
      if (isWanted) definitions.set(`${entry.db}.${entry.collection}`, definitionOf(entry, BSON));
    }
    const names = new Map(steps.map(({ from, to }) => [from, to]));
    const each = async (
      isChosen: (definition: Definition) => boolean,
      act: (db: Db, definition: Definition, bson: typeof BSON) => Promise<RestoreFailure[]>,
    ) => {
      for (const definition of definitions.values()) {
        if (!isChosen(definition)) continue;
        const to = names.get(definition.db)!;
        failures.push(...await r.client.ask((driver) => act(driver.db(to), definition, BSON), r));
      }
    };
    await each(({ isView }) => !isView, makeCollection);
    failures.push(...await bringDocuments(artifact, steps, definitions, r));
    await each(({ isView }) => isView, makeView);
    await each(({ isView }) => !isView, makeIndexes);
  }
  return failures;
}

function definitionOf(entry: CollectionMetadata, bson: typeof BSON): Definition {
  const { options, indexes } = announced(entry, bson).state;
  return { db: entry.db, name: entry.collection, options, indexes, isView: entry.type === "view" };
}

async function makeCollection(
  db: Db,
  { name, options }: Definition,
  bson: typeof BSON,
): Promise<RestoreFailure[]> {
  const refusal = await attempt(() => db.command({ create: name, ...fieldsOf(options, bson) }));
  if (refusal === undefined) return [];
  const isThere = await attempt(() => db.command({ create: name })) === undefined;
  const kept = [...elements(options)].map((one) => one.name).join(", ");
  return [{
    ...{ database: db.databaseName, object: `collection ${name}`, message: refusal },
    leaves: isThere ? `It is there without its options (${kept}).` : "It is missing.",
  }];
}

async function makeView(
  db: Db,
  { name, options }: Definition,
  bson: typeof BSON,
): Promise<RestoreFailure[]> {
  const refusal = await attempt(() => db.command({ create: name, ...fieldsOf(options, bson) }));
  if (refusal === undefined) return [];
  return [{
    ...{ database: db.databaseName, object: `view ${name}`, message: refusal },
    leaves: "It is missing.",
  }];
}

async function makeIndexes(
  db: Db,
  { name, indexes }: Definition,
  bson: typeof BSON,
): Promise<RestoreFailure[]> {
  const failures: RestoreFailure[] = [];
  for (const [index, definition] of indexes) {
    const made = mapOf(without(definition, "ns"), bson);
    const refusal = await attempt(() => db.command({ createIndexes: name, indexes: [made] }));
    if (refusal === undefined) continue;
    failures.push({
      ...{ database: db.databaseName, object: `index ${name}.${index}`, message: refusal },
      leaves: "It is missing.",
    });
  }
  return failures;
}

/** The server's refusal in its own words; undefined where it did what was asked. */
async function attempt(act: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await act();
    return undefined;
  } catch (error) {
    if (error instanceof Error && answered(error)) return error.message;
    throw error;
  }
}

async function bringDocuments(
  artifact: RestorableArtifact,
  steps: readonly RestoreStep[],
  definitions: Map<string, Definition>,
  r: RestoreContext,
): Promise<RestoreFailure[]> {
  const isReplayed = hasOplog(r.selection.backup.manifest);
  const names = new Map(steps.map(({ from, to }) => [from, to]));
  const how: Bringing = {
    flags: goingOnFlags(r.selection.backup.manifest),
    keep: (db, collection) =>
      names.has(db) && r.selection.has(db, collection) &&
      definitions.get(`${db}.${collection ?? ""}`)?.isView !== true,
    onChange: (change) => follow(definitions, change),
  };
  try {
    const outcome = await bring(artifact, steps, how, r);
    return outcome.failedDocuments === 0 ? [] : steps.slice(0, 1).map(({ to }) => ({
      database: to,
      message: refusals(outcome.log),
      leaves: `${counted(outcome.failedDocuments, "document")} ${
        outcome.failedDocuments === 1 ? "is" : "are"
      } missing.`,
    }));
  } catch (error) {
    if (!hasCode(error, "restore/failed") || r.signal.aborted) throw error;
    return steps.map(({ to }) => ({
      database: to,
      message: error.message,
      leaves: isReplayed && /applyOps|oplog/i.test(error.message)
        ? "What was written while the dump ran is missing."
        : "Documents that mongorestore had not come to are missing.",
    }));
  }
}

/** What mongorestore says of documents that a server refused, the first few. */
function refusals(log: string): string {
  const lines = log.split("\n").map((line) => line.replace(/^\S+T\S+\s+/, "").trim());
  const found = lines.filter((line) => /continuing through error|E\d{5}|failed/i.test(line))
    .filter((line) => !/failed to restore\.?$/.test(line));
  return found.slice(0, 3).join("; ").replaceAll("continuing through error: ", "") ||
    "mongorestore counts failed documents";
}

/** Keeps the definitions as the oplog changes them. */
function follow(definitions: Map<string, Definition>, change: OplogChange): void {
  if (!("collection" in change)) {
    if (change.type !== "drop-database") return;
    for (const key of definitions.keys()) {
      if (key.startsWith(`${change.db}.`)) definitions.delete(key);
    }
    return;
  }
  const key = `${change.db}.${plainName(change.collection)}`;
  switch (change.type) {
    case "create":
      if (!definitions.has(key)) {
        definitions.set(key, {
          ...{ db: change.db, name: change.collection, options: noDocument, isView: false },
          indexes: new Map(),
        });
      }
      break;
    case "drop":
      definitions.delete(key);
      break;
    case "create-index":
      if (change.definition === undefined) break;
      definitions.get(key)?.indexes.set(change.index, change.definition);
      break;
    case "drop-index":
      if (change.index === "*") definitions.get(key)?.indexes.clear();
      else definitions.get(key)?.indexes.delete(change.index);
  }
}
