import {
  booleanElement,
  documentOf,
  find,
  halves,
  int64Element,
  stringElement,
  text,
  truth,
} from "./bson.ts";
import type { Crc64 } from "./crc64.ts";
import { damaged } from "./parser.ts";

/** The header of a block: whose documents follow, or that there are no more. */
export interface NamespaceHeader {
  readonly db: string;
  readonly collection: string;
  readonly isEof: boolean;
  /** CRC-64 of all its documents, in halves; 0 unless `isEof`. */
  readonly crc: readonly [number, number];
}

/** One entry of the prelude. */
export interface CollectionMetadata {
  readonly db: string;
  readonly collection: string;
  /** Options and indexes as canonical Extended JSON; empty for the oplog. */
  readonly metadata: string;
  /** `view`, `timeseries`, or something else for a plain collection. */
  readonly type: string;
}

/**
 * Whether a collection is its users' and not its server's: `system.` collections are the server's, but
 * `system.js` and the buckets of time series. mongodump leaves the server's out.
 */
export function isOwn(collection: string): boolean {
  return !collection.startsWith("system.") || collection === "system.js" ||
    collection.startsWith("system.buckets.");
}

/** The name of a collection, for the buckets of a time series that of the series. */
export function plainName(collection: string): string {
  return collection.replace(/^system\.buckets\./, "");
}

/** mongodump puts the oplog into the database "" as "oplog". */
export function isOplog({ db, collection }: { db: string; collection: string }): boolean {
  return db === "" && collection === "oplog";
}

/** `db.collection`. */
export function namespaceOf({ db, collection }: { db: string; collection: string }): string {
  return `${db}.${collection}`;
}

/** The namespace whose blocks hold the documents of an entry of the prelude. */
export function dataNamespaceOf(entry: CollectionMetadata): string {
  // A time series is a view of its buckets.
  const prefix = entry.type === "timeseries" ? "system.buckets." : "";
  return `${entry.db}.${prefix}${entry.collection}`;
}

/** Reads a block's header; undefined when it is none. @throws BsonError */
export function readNamespace(document: Uint8Array): NamespaceHeader | undefined {
  const db = text(find(document, "db"));
  const collection = text(find(document, "collection"));
  const crc = halves(find(document, "CRC"));
  const isEof = truth(find(document, "EOF"));
  if (db === undefined || collection === undefined || crc === undefined || isEof === undefined) {
    return undefined;
  }
  // Only the end of a namespace has its checksum.
  if (!isEof && (crc[0] !== 0 || crc[1] !== 0)) return undefined;
  return { db, collection, crc, isEof };
}

/** Compares a namespace's checksum. @throws BackupError `verification/structure` */
export function assertChecksum(header: NamespaceHeader, crc: Crc64): void {
  const [upper, lower] = crc.value();
  if (upper === header.crc[0] && lower === header.crc[1]) return;
  throw damaged(`the checksum of "${namespaceOf(header)}" differs`);
}

/** Writes a block's header. */
export function writeNamespace({ db, collection, isEof, crc }: NamespaceHeader): Uint8Array {
  return documentOf([
    stringElement("db", db),
    stringElement("collection", collection),
    booleanElement("EOF", isEof),
    int64Element("CRC", crc),
  ]);
}

/** Reads an entry of the prelude; undefined when it is none. @throws BsonError */
export function readMetadata(document: Uint8Array): CollectionMetadata | undefined {
  const db = text(find(document, "db"));
  const collection = text(find(document, "collection"));
  if (db === undefined || collection === undefined) return undefined;
  const metadata = text(find(document, "metadata")) ?? "";
  return { db, collection, metadata, type: text(find(document, "type")) ?? "" };
}
