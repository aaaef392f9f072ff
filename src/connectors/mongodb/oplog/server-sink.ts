import type { BSON, Document, MongoClient } from "mongodb";
import type { Abortable } from "../../../core/bytes.ts";
import { BackupError, hasCode } from "../../../core/errors.ts";
import { counted } from "../../../core/text.ts";
import { type Element, find, valueKey } from "../archive/bson.ts";
import { plainName } from "../archive/namespace.ts";
import type { Client } from "../client.ts";
import { serverCode } from "../errors.ts";
import { without } from "./catalog.ts";
import { applyDiff } from "./diff.ts";
import type { Namespace, ReplaySink, Write, WriteMode } from "./sink.ts";
import { type PlainWrite, type Statements, statementsOf } from "./statements.ts";
import { fieldsOf, mapOf, valueOf } from "./values.ts";

/** A part of a command that the driver sends as the bytes it is given. */
interface DocumentSequence {
  push(document: Document, bytes: Uint8Array): number;
}

interface Driver {
  readonly bson: typeof BSON;
  readonly sequence: new (field: string) => DocumentSequence;
}

// https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
const namespaceNotFound = 26;
const duplicateKey = 11_000;
/** What a write of the window may meet that later ones have changed: a path through a scalar. */
const outdated: ReadonlySet<number> = new Set([2, 14, 28]);

/** Documents that are read at once, to be changed here. */
const mostRead = 100;

const fields = { insert: "documents", update: "updates", delete: "deletes" } as const;

/**
 * A server to replay onto. Needs the built-in roles restore, readWriteAnyDatabase and
 * dbAdminAnyDatabase, and no more.
 *
 * Its methods throw BackupError `restore/failed` in the server's words, and what Client.ask throws.
 */
export function serverSink(client: Client, o: Abortable): ReplaySink {
  let loading: Promise<Driver> | undefined;

  async function on<T>(
    { db, collection }: Namespace,
    use: (driver: MongoClient, loaded: Driver) => Promise<T>,
  ): Promise<T> {
    const loaded = await (loading ??= load());
    try {
      return await client.ask((driver) => use(driver, loaded), o);
    } catch (error) {
      if (!hasCode(error, "connection/refused")) throw error;
      const { cause } = error;
      throw problem(
        { db, collection },
        cause instanceof Error ? cause.message : error.message,
        cause,
      );
    }
  }

  async function send(
    target: Namespace,
    { command, documents, expected }: Statements,
    mode: WriteMode,
  ): Promise<void> {
    for (let at = 0; at < documents.length;) {
      const rest = documents.slice(at);
      const answer = await on(target, async (driver, { sequence }) => {
        const statements = new sequence(fields[command]);
        for (const one of rest) statements.push({}, one);
        return await driver.db(target.db).command({
          [command]: target.collection,
          [fields[command]]: statements,
          ordered: true,
          ...command === "delete" ? {} : { bypassDocumentValidation: true },
          writeConcern: { w: 1, j: false },
        });
      });
      const [refusal] = (answer["writeErrors"] ?? []) as { index: number; errmsg: string }[];
      if (refusal === undefined) {
        if (expected !== undefined && at === 0) assertFound(target, Number(answer["n"]), expected);
        return;
      }
      if (!isPassedOver(refusal, command, mode)) throw problem(target, refusal.errmsg);
      at += refusal.index + 1;
    }
  }

  async function read(
    target: Namespace,
    ids: readonly Element[],
  ): Promise<Map<string, Uint8Array>> {
    const found = await on(target, async (driver, { bson }) => {
      const values = ids.map((id) => valueOf(id, bson));
      const cursor = driver.db(target.db).collection(target.collection)
        .find({ _id: { $in: values as never[] } }, { raw: true, collation: { locale: "simple" } });
      return (await cursor.toArray()) as unknown as Uint8Array[];
    });
    return new Map(found.map((document) => [valueKey(find(document, "_id")!), document]));
  }

  /** Differences are applied here, to the documents as the writes before them leave them. */
  async function plain(
    target: Namespace,
    writes: readonly Write[],
    { isLenient }: WriteMode,
  ): Promise<PlainWrite[]> {
    const wanted = writes.flatMap((write) => write.type === "diff" ? [write.id] : []);
    if (wanted.length === 0) return writes as readonly PlainWrite[] as PlainWrite[];
    const now = await read(target, wanted);
    const all: PlainWrite[] = [];
    for (const write of writes) {
      const key = valueKey(write.id);
      if (write.type === "remove") now.delete(key);
      if (write.type === "insert" || write.type === "replace") now.set(key, write.document);
      if (write.type !== "diff") {
        all.push(write);
        continue;
      }
      const before = now.get(key);
      if (before === undefined) {
        if (isLenient) continue;
        throw missing(target, 1);
      }
      const document = applyDiff(before, write.diff);
      now.set(key, document);
      all.push({ type: "replace", id: write.id, document });
    }
    return all;
  }

  return {
    async write(target, writes, mode) {
      for (const part of parts(writes)) {
        const isOfBuckets = target.collection.startsWith("system.buckets.");
        const ordered = { ...mode, isCapped: mode.isCapped || isOfBuckets };
        for (const statements of statementsOf(await plain(target, part, mode), ordered)) {
          await send(target, statements, mode);
        }
      }
    },
    async present(target, ids) {
      const found = new Set<number>();
      for (let from = 0; from < ids.length; from += mostRead) {
        const some = ids.slice(from, from + mostRead);
        const documents = await read(target, some);
        some.forEach((id, index) => documents.has(valueKey(id)) && found.add(from + index));
      }
      return found;
    },
    async create(target, options) {
      const series = find(options, "timeseries");
      await on(target, (driver, { bson }) =>
        driver.db(target.db).command({
          create: series === undefined ? target.collection : plainName(target.collection),
          // The rest of what a time series has comes from these.
          ...series === undefined ? fieldsOf(options, bson) : { timeseries: valueOf(series, bson) },
        }));
    },
    async drop(target) {
      await on(target, async (driver) => {
        try {
          await driver.db(target.db).command({ drop: plainName(target.collection) });
        } catch (error) {
          if (serverCode(error) !== namespaceNotFound) throw error;
        }
      });
    },
    async rename(from, to, { isTargetDropped }) {
      await on(from, (driver) =>
        driver.db("admin").command({
          renameCollection: `${from.db}.${from.collection}`,
          to: `${to.db}.${to.collection}`,
          dropTarget: isTargetDropped,
        }));
    },
    async modify(target, change) {
      await on(target, (driver, { bson }) =>
        driver.db(target.db).command({
          collMod: plainName(target.collection),
          ...fieldsOf(change, bson),
        }));
    },
    async createIndexes(target, definitions) {
      await on(target, (driver, { bson }) =>
        driver.db(target.db).command({
          createIndexes: target.collection,
          indexes: definitions.map((one) => mapOf(without(one, "ns"), bson)),
          // An older server's own; mongorestore passes them over, too.
          ignoreUnknownIndexOptions: true,
        }));
    },
  };
}

async function load(): Promise<Driver> {
  const { BSON } = await import("mongodb");
  // Not public, and the only way to send a document as the bytes that it is: what is decoded and
  // encoded again loses dates that JavaScript does not have, types of old, and the order of fields.
  const { DocumentSequence }: { DocumentSequence: Driver["sequence"] } = await import(
    "mongodb/lib/cmap/commands.js"
  );
  return { bson: BSON, sequence: DocumentSequence };
}

/** Parts that read few documents each. */
function* parts(writes: readonly Write[]): Generator<readonly Write[]> {
  let part: Write[] = [];
  let differences = 0;
  let isModified = false;
  for (const write of writes) {
    const isDifference = write.type === "diff";
    // What `$set` leaves is known to the server alone.
    if (isDifference && (differences === mostRead || isModified)) {
      yield part;
      [part, differences, isModified] = [[], 0, false];
    }
    part.push(write);
    if (isDifference) differences++;
    if (write.type === "modify") isModified = true;
  }
  if (part.length > 0) yield part;
}

function isPassedOver(
  refusal: { readonly index: number },
  command: Statements["command"],
  { isLenient }: WriteMode,
): boolean {
  const code = serverCode(refusal);
  return isLenient && code !== undefined &&
    (outdated.has(code) || (command === "insert" && code === duplicateKey));
}

function assertFound(target: Namespace, found: number, expected: number): void {
  if (found < expected) throw missing(target, expected - found);
}

function missing(target: Namespace, count: number): BackupError {
  return problem(
    target,
    `${counted(count, "document")} that the oplog changes ${count === 1 ? "is" : "are"} not there`,
  );
}

function problem({ db, collection }: Namespace, what: string, cause?: unknown): BackupError {
  return new BackupError(
    "restore/failed",
    `The oplog cannot be replayed into "${db}.${collection}": ${what}`,
    { cause, hint: "Restore to an earlier moment with --at, or an older backup." },
  );
}
