import { documentOf, int32Element, stringElement } from "./bson.ts";
import { crc64 } from "./crc64.ts";
import { type CollectionMetadata, writeNamespace } from "./namespace.ts";

/** One collection to write into an archive. */
export interface ArchiveCollection extends CollectionMetadata {
  /** Whole BSON documents. */
  readonly documents: readonly Uint8Array[];
}

/**
 * Writes a small archive that mongorestore reads, in memory.
 *
 * @param serverVersion the source's version, for the header
 */
export function writeArchive(
  serverVersion: string,
  collections: readonly ArchiveCollection[],
): Uint8Array {
  const terminator = Uint8Array.of(0xff, 0xff, 0xff, 0xff);
  const header = documentOf([
    int32Element("concurrent_collections", 1),
    stringElement("version", "0.1"),
    stringElement("server_version", serverVersion),
    stringElement("tool_version", "dbbackup"),
  ]);
  const parts = [Uint8Array.of(0x6d, 0xe2, 0x99, 0x81), header];
  for (const { db, collection, metadata, type } of collections) {
    parts.push(documentOf([
      stringElement("db", db),
      stringElement("collection", collection),
      stringElement("metadata", metadata),
      int32Element("size", 0),
      stringElement("type", type),
    ]));
  }
  parts.push(terminator);
  for (const { db, collection, documents } of collections) {
    const crc = crc64();
    documents.forEach((document) => crc.update(document));
    if (documents.length > 0) {
      parts.push(writeNamespace({ db, collection, isEof: false, crc: [0, 0] }));
      parts.push(...documents, terminator);
    }
    parts.push(writeNamespace({ db, collection, isEof: true, crc: crc.value() }), terminator);
  }
  return joined(parts);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
