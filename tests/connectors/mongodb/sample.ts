import { Buffer } from "node:buffer";
import path from "node:path";
import {
  Binary,
  BSONRegExp,
  Code,
  type CollectionInfo,
  type CreateCollectionOptions,
  type Db,
  Decimal128,
  type Document,
  Double,
  type IndexDescription,
  Int32,
  Long,
  MaxKey,
  MinKey,
  type MongoClient,
  ObjectId,
  Timestamp,
} from "mongodb";
import { serialize } from "bson";
import { writeArchive } from "../../../src/connectors/mongodb/archive/write.ts";
import type { MongoServer } from "../../support/mongo.ts";
import { output } from "../../support/run.ts";

/** Names of collections that some layer could trip over. */
export const oddNames = [
  "with space",
  `quo"te'd`,
  "ünï 🎉",
  "dots.in.the.name",
  "Twin",
  "twin",
  "-dash",
  "--flag=1",
  "50%25*?",
  "back\\slash/slash",
  "line\nbreak\ttab",
  "\uFEFFmark",
] as const;

/** A name of a database that is as odd as MongoDB allows. */
export const oddDatabase = (name: string): string => `-${name}'ü<>|:?*%#@;&`;

const big = new Date(253_402_300_799_999);

/** Every type of BSON that the driver writes, with dates that JavaScript has. */
const everyType: readonly object[] = [
  {
    _id: new ObjectId("65a000000000000000000001"),
    double: new Double(1.5),
    wholeDouble: new Double(3),
    special: [NaN, Infinity, -Infinity, new Double(-0)],
    text: "Grüße 🎉 \u0000 end",
    nested: { a: { b: [{ c: [[], {}] }] }, "": 1, "d.o.t": 2 },
    binaries: [0, 1, 3, 4, 5, 128, 255].map((subtype) => new Binary(Buffer.alloc(16, 7), subtype)),
    everyByte: Buffer.from(Array.from({ length: 256 }, (_, index) => index)),
    isTrue: true,
    isFalse: false,
    dates: [new Date(0), new Date(-1), big, new Date(-62_135_596_800_000)],
    nothing: null,
    regex: new BSONRegExp("^a/b\\d", "imsx"),
    code: new Code("function () { return 1; }"),
    scoped: new Code("x", { x: 1 }),
    int: new Int32(-1),
    long: Long.MAX_VALUE,
    smallest: Long.MIN_VALUE,
    time: new Timestamp({ t: 4_294_967_295, i: 7 }),
    decimals: ["0.1", "-0", "NaN", "Infinity", "9.999999999999999999999999999999999E+6144"]
      .map((text) => Decimal128.fromString(text)),
    min: new MinKey(),
    max: new MaxKey(),
  },
  { _id: "text" },
  { _id: new Int32(5) },
  { _id: { a: 1, b: [new Date(5)] } },
  { _id: new Date(-5), empty: {} },
  { _id: new Binary(Buffer.alloc(16, 1), 4) },
  { _id: Decimal128.fromString("1.10") },
];

/** What the driver cannot write: types of old, and dates that JavaScript does not have. */
function rawDocuments(): Uint8Array[] {
  const [long, symbol, oldBinary] = [
    serialize({ _id: 101, date: Long.fromString("9223372036854775807") }),
    serialize({ _id: 102, symbol: "old" }),
    serialize({ _id: 103, old: new Binary(Buffer.from("abc"), 2) }),
  ];
  // Type bytes stand before the names.
  const retype = (document: Uint8Array, name: string, type: number) => {
    document[Buffer.from(document).indexOf(`${name}\0`) - 1] = type;
    return document;
  };
  const empty = serialize({ _id: 104, undef: null });
  return [
    retype(long, "date", 0x09),
    retype(symbol, "symbol", 0x0e),
    oldBinary,
    retype(empty, "undef", 0x06),
  ];
}

const collections: readonly [string, CreateCollectionOptions, readonly object[]][] = [
  ["empty", {}, []],
  ["capped", { capped: true, size: 8192, max: 50 }, numbered(60)],
  ["checked", {
    validator: { n: { $gte: 0 } },
    validationLevel: "moderate",
    validationAction: "error",
  }, numbered(3)],
  ["collated", { collation: { locale: "de", strength: 2, numericOrdering: true } }, [
    { _id: 1, name: "Ähre" },
  ]],
  ["indexed", {}, [{
    _id: 1,
    a: 1,
    b: "text of some words",
    place: { type: "Point", coordinates: [13.4, 52.5] },
    flat: [1, 2],
    at: new Date(5e12),
  }]],
  ...oddNames.map((name): [string, CreateCollectionOptions, object[]] => [name, {}, [{ name }]]),
];

const indexes: readonly IndexDescription[] = [
  { key: { a: 1 }, name: "a unique", unique: true },
  { key: { b: -1, a: 1 }, name: "compound", sparse: true },
  { key: { c: 1 }, name: "partial", partialFilterExpression: { c: { $gt: 5 } } },
  { key: { at: 1 }, name: "ttl", expireAfterSeconds: 1_000_000_000 },
  { key: { d: 1 }, name: "collated", collation: { locale: "fr", strength: 1 } },
  { key: { b: "text", e: "text" }, name: "words", weights: { b: 5 }, default_language: "german" },
  { key: { place: "2dsphere" }, name: "sphere" },
  { key: { flat: "2d" }, name: "plane", min: -50, max: 50, bits: 20 },
  { key: { h: "hashed" }, name: "hash" },
  { key: { hid: 1 }, name: "hidden", hidden: true },
  { key: { "w.$**": 1 }, name: "wild" },
  { key: { "dots.in": 1 }, name: "dots.in_1" },
];

function numbered(count: number): { _id: number; n: number }[] {
  return Array.from({ length: count }, (_, n) => ({ _id: n, n }));
}

/** Fills a database with everything that MongoDB 4.4 has, as far as the server at hand has it. */
export async function makeSample(server: MongoServer, name: string): Promise<void> {
  const db = (await server.client()).db(name);
  for (const [collection, options, documents] of collections) {
    await db.createCollection(collection, server.can("createOptions") ? options : {});
    if (documents.length > 0) await db.collection(collection).insertMany([...documents]);
  }
  if (server.can("createOptions")) await makeViews(db);
  await db.collection("indexed").createIndexes(indexes.filter(({ key, hidden }) => {
    const kinds = Object.values(key);
    return (hidden !== true || server.can("hiddenIndex")) &&
      (!kinds.includes("text") || server.can("textIndex")) &&
      (!kinds.includes("hashed") || server.can("hashedIndex"));
  }));
  await db.collection("types").insertMany([...everyType], { ignoreUndefined: false });
  const many = numbered(500).map((one) => ({ ...one, pad: "x".repeat(300) }));
  await db.collection<{ _id: number }>("many").insertMany(many);
  if (server.can("systemJs")) {
    await db.collection<{ _id: string; value: Code }>("system.js").insertOne({
      _id: "twice",
      value: new Code("function (x) { return 2 * x; }"),
    });
  }
  if (server.can("anyDate")) await restoreRaw(server, name, rawDocuments());
}

/** Views, and a document that is older than its validator, which would refuse it today. */
async function makeViews(db: Db): Promise<void> {
  await db.collection("checked").insertOne({ n: -1 }, { bypassDocumentValidation: true });
  await db.createCollection("view", { viewOn: "many", pipeline: [{ $match: { n: { $lt: 7 } } }] });
  await db.createCollection("view of a view", {
    viewOn: "view",
    pipeline: [{ $project: { n: 1 } }],
  });
  await db.createCollection("collated view", {
    viewOn: "many",
    pipeline: [],
    collation: { locale: "en" },
  });
}

async function restoreRaw(server: MongoServer, db: string, documents: Uint8Array[]) {
  const metadata = JSON.stringify({
    indexes: [{ v: { $numberInt: "2" }, key: { _id: { $numberInt: "1" } }, name: "_id_" }],
    collectionName: "raw",
    type: "collection",
  });
  const archive = writeArchive("4.4.29", [
    { db, collection: "raw", metadata, type: "collection", documents },
  ]);
  const tool = path.join(server.toolsDir ?? "", "mongorestore");
  await output(tool, [`--uri=${server.url()}`, "--archive"], { input: archive });
}

/** An index without what a server adds of its own. */
function plainIndex({ ns: _, storageEngine: __, ...index }: Document): Document {
  return index;
}

/** All that a database holds: options, indexes and the bytes of every document. */
export async function contentOf(client: MongoClient, name: string): Promise<object> {
  const db = client.db(name);
  const listed = await db.listCollections<CollectionInfo>({}, { nameOnly: false }).toArray();
  const found = listed.filter((one) => !/^system\.(views|profile)$/.test(one.name))
    .sort((a, b) => a.name < b.name ? -1 : 1);
  const content: Record<string, unknown> = {};
  for (const { name: collection, type, options } of found) {
    const isView = type === "view";
    content[collection] = {
      type,
      options,
      indexes: isView
        ? []
        : byName((await db.collection(collection).listIndexes().toArray()).map(plainIndex)),
      documents: await documentsOf(db, collection, options?.["capped"] === true),
    };
  }
  return content;
}

async function documentsOf(db: Db, name: string, isOrdered: boolean): Promise<string[]> {
  const found = db.collection(name).find({}, { raw: true });
  const raw = (await found.toArray()) as unknown as Uint8Array[];
  const documents = raw.map((document) => Buffer.from(document).toString("hex"));
  return isOrdered ? documents : documents.sort();
}

function byName<T extends { name?: string }>(list: readonly T[]): T[] {
  return [...list].sort((a, b) => (a.name ?? "") < (b.name ?? "") ? -1 : 1);
}
