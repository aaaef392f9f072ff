import { Buffer } from "node:buffer";
import { serialize } from "bson";
import fc from "fast-check";
import { crc64 } from "../../../src/connectors/mongodb/archive/crc64.ts";
import { namespaceOf, writeNamespace } from "../../../src/connectors/mongodb/archive/namespace.ts";
import { archiveFormat } from "../../../src/connectors/mongodb/archive/walker.ts";
import type { DatabaseInventory } from "../../../src/contracts/inventory.ts";
import { type Bytes, collect } from "../../../src/core/bytes.ts";

/** One namespace of an archive made by hand. */
export interface Part {
  readonly db: string;
  readonly collection: string;
  readonly documents: readonly object[];
  /** `view`, `timeseries`, or undefined for a collection. */
  readonly type?: string;
  readonly indexes?: readonly string[];
  readonly options?: object;
}

/** The magic number and the header. */
const magic = Buffer.of(0x6d, 0xe2, 0x99, 0x81);
const terminator = Buffer.of(0xff, 0xff, 0xff, 0xff);

/** An archive, and where its prelude ends. */
export interface TestArchive {
  readonly parts: readonly Part[];
  readonly bytes: Uint8Array;
  readonly preludeBytes: number;
}

/**
 * Writes an archive as mongodump does, its blocks in any order.
 *
 * @param order gives the part whose next documents, or end, are written next, as long as it lasts
 */
export function archiveOf(
  parts: readonly Part[],
  order: readonly { readonly part: number; readonly documents: number }[] = [],
): TestArchive {
  const prelude = [
    magic,
    serialize({
      concurrent_collections: 4,
      version: "0.1",
      server_version: "4.4.29",
      tool_version: "100.9.4",
    }),
    ...parts.map(({ db, collection, type = "collection", indexes = [], options = {} }) =>
      serialize({
        db,
        collection,
        metadata: db === "" ? "" : JSON.stringify({
          indexes: ["_id_", ...indexes].map((name) => ({ v: 2, key: { _id: 1 }, name })),
          collectionName: collection,
          options,
          type,
        }),
        size: 0,
        type,
      })
    ),
    terminator,
  ];
  const states = parts.map((part) => ({ part, left: [...part.documents], crc: crc64() }));
  const blocks: Uint8Array[] = [];
  const writeBlock = (state: typeof states[number], count: number) => {
    const { db, collection } = blockOf(state.part);
    const documents = state.left.splice(0, count).map((document) => serialize(document));
    if (documents.length === 0) return;
    documents.forEach((document) => state.crc.update(document));
    const header = writeNamespace({ db, collection, isEof: false, crc: [0, 0] });
    blocks.push(header, ...documents, terminator);
  };
  for (const { part, documents } of order) {
    const state = states[part % states.length];
    if (state !== undefined) writeBlock(state, documents);
  }
  for (const state of states) {
    writeBlock(state, Infinity);
    const { db, collection } = blockOf(state.part);
    blocks.push(writeNamespace({ db, collection, isEof: true, crc: state.crc.value() }));
    blocks.push(terminator);
  }
  const preludeBytes = Buffer.concat(prelude).byteLength;
  // No Buffer, whose slices are no copies.
  return { parts, bytes: new Uint8Array(Buffer.concat([...prelude, ...blocks])), preludeBytes };
}

/** The name that a part's blocks have: a time series is a view of its buckets. */
function blockOf({ db, collection, type }: Part): { db: string; collection: string } {
  return { db, collection: type === "timeseries" ? `system.buckets.${collection}` : collection };
}

const names = fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 })
  .filter((name) => !/[.$\0]/.test(name) && !["admin", "config", "local"].includes(name));

const values = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.string(),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  fc.array(fc.integer(), { maxLength: 3 }),
);
const documents = fc.array(
  fc.dictionary(fc.string({ maxLength: 4 }).filter((name) => !name.includes("\0")), values, {
    maxKeys: 4,
  }),
  { maxLength: 6 },
);

/** Writes of the oplog to a namespace. */
const operations = (namespaces: readonly string[]) =>
  fc.array(
    fc.tuple(fc.constantFrom("i", "u", "d"), fc.constantFrom(...namespaces), fc.integer()),
    { maxLength: 5 },
  ).map((list) => list.map(([op, ns, n]) => ({ op, ns, o: { _id: n }, v: 2 })));

/** Archives of all shapes, with and without an oplog. */
export const archives: fc.Arbitrary<TestArchive> = fc
  .uniqueArray(fc.record({ db: names, collection: names, documents }), {
    minLength: 1,
    maxLength: 5,
    selector: namespaceOf,
  })
  .chain((parts) =>
    fc.tuple(
      fc.constant(parts),
      fc.option(operations(parts.map(namespaceOf))),
      fc.array(fc.record({ part: fc.nat(5), documents: fc.integer({ min: 1, max: 3 }) })),
    )
  )
  .map(([parts, oplog, order]) =>
    archiveOf(
      oplog === null ? parts : [...parts, { db: "", collection: "oplog", documents: oplog }],
      order,
    )
  );

/** Cuts bytes into chunks, each overwritten once the next is asked for, as the contract allows. */
export async function* chunked(bytes: Uint8Array, cuts: readonly number[]): Bytes {
  const ends = [...cuts.map((cut) => cut % bytes.byteLength), bytes.byteLength];
  let start = 0;
  for (const end of ends.sort((a, b) => a - b)) {
    const chunk = bytes.slice(start, end);
    start = end;
    yield chunk;
    chunk.fill(0xee);
    await Promise.resolve();
  }
}

/** Walks bytes to their end. */
export async function walk(bytes: Bytes): Promise<readonly DatabaseInventory[]> {
  const walker = archiveFormat.walk();
  for await (const chunk of bytes) walker.push(chunk);
  return walker.end().databases;
}

/** The same bytes in one piece. */
export const whole = (bytes: Bytes): Promise<Uint8Array> => collect(bytes, 2 ** 30);
