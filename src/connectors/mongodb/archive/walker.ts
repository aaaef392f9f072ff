import type { ArtifactFormat, Walker } from "../../../contracts/format.ts";
import type { DatabaseInventory } from "../../../contracts/inventory.ts";
import { find, text } from "./bson.ts";
import { catalogOf } from "./catalog.ts";
import { type Crc64, crc64 } from "./crc64.ts";
import {
  assertChecksum,
  type CollectionMetadata,
  dataNamespaceOf,
  isOplog,
  namespaceOf,
  readMetadata,
  readNamespace,
} from "./namespace.ts";
import { changesOf, type OplogChange } from "./oplog.ts";
import { archiveParser, damaged, truncated } from "./parser.ts";

/** An archive of mongodump: databases, and on a replica set the oplog of the time it took. */
export const archiveFormat: ArtifactFormat = {
  id: "mongoarchive",
  suffix: "archive",
  walk: () => walk(true),
};

/** An archive of users and roles, which are no objects of a database. */
export const accountsFormat: ArtifactFormat = {
  id: "mongoaccounts",
  suffix: "archive",
  walk: () => walk(false),
};

/** Of all archives since there are any. */
const formatVersion = "0.1";

interface Namespace {
  readonly crc: Crc64;
  documents: number;
  bytes: number;
  isEnded: boolean;
}

/**
 * Follows an archive to the end of every namespace that its prelude announces, checks each CRC, and
 * counts documents. With an oplog, what its entries create and drop is taken into account, and the
 * counts of collections that they write to are no longer exact.
 */
function walk(hasObjects: boolean): Walker {
  const announced: CollectionMetadata[] = [];
  const namespaces = new Map<string, Namespace>();
  const changes: OplogChange[] = [];
  const touched = new Set<string>();
  let current: Namespace | undefined;

  const parser = archiveParser({
    header(document) {
      if (text(find(document, "version")) !== formatVersion) {
        throw damaged("its version is unknown");
      }
    },
    metadata(document) {
      const entry = readMetadata(document);
      if (entry === undefined) throw damaged("an entry of the prelude names no collection");
      const name = dataNamespaceOf(entry);
      if (namespaces.has(name)) throw damaged(`the prelude announces "${name}" twice`);
      announced.push(entry);
      namespaces.set(name, { crc: crc64(), documents: 0, bytes: 0, isEnded: false });
    },
    preludeEnd() {},
    namespace(document) {
      const header = readNamespace(document);
      if (header === undefined) throw damaged("a block's header names no collection");
      const name = namespaceOf(header);
      current = namespaces.get(name);
      if (current === undefined) throw damaged(`the prelude does not announce "${name}"`);
      if (current.isEnded) throw damaged(`"${name}" goes on after its end`);
      if (header.isEof) {
        assertChecksum(header, current.crc);
        current.isEnded = true;
      }
      return isOplog(header) ? "documents" : "pieces";
    },
    piece(bytes, ended) {
      current!.crc.update(bytes);
      current!.documents += ended;
      current!.bytes += bytes.byteLength;
      if (current!.isEnded) throw damaged("documents follow the end of their collection");
    },
    document(document) {
      current!.crc.update(document);
      current!.documents++;
      for (const change of changesOf(document)) note(change);
    },
    blockEnd() {},
  });

  function note(change: OplogChange): void {
    if (change.type !== "write") changes.push(change);
    // One note a collection: a busy server's oplog is long.
    else touched.add(`${change.db}.${change.collection}`);
  }

  return {
    push: (chunk) => parser.push(chunk),
    end(): { databases: DatabaseInventory[] } {
      parser.end();
      const open = [...namespaces].find(([, { isEnded }]) => !isEnded);
      if (open !== undefined) throw truncated(`the end of "${open[0]}" is missing`);
      if (!hasObjects) return { databases: [] };
      return { databases: catalogOf(announced, namespaces, changes, touched) };
    },
  };
}
