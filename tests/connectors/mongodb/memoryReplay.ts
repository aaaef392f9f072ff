import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { deserialize, type Document } from "bson";
import { elements, find } from "../../../src/connectors/mongodb/archive/bson.ts";
import {
  dataNamespaceOf,
  isOplog,
  namespaceOf,
  readMetadata,
  readNamespace,
} from "../../../src/connectors/mongodb/archive/namespace.ts";
import { archiveParser } from "../../../src/connectors/mongodb/archive/parser.ts";
import { operated } from "./operators.ts";

/** What an archive holds, in memory. */
export interface ArchiveContent {
  /** Documents by namespace. */
  readonly collections: Map<string, Uint8Array[]>;
  readonly oplog: Uint8Array[];
}

/** Reads an archive into memory. */
export function contentOfArchive(bytes: Uint8Array): ArchiveContent {
  const collections = new Map<string, Uint8Array[]>();
  const oplog: Uint8Array[] = [];
  let into: Uint8Array[] = [];
  const parser = archiveParser({
    header() {},
    metadata(document) {
      const entry = readMetadata(document)!;
      if (!isOplog(entry) && entry.type !== "view") collections.set(dataNamespaceOf(entry), []);
    },
    preludeEnd() {},
    namespace(document) {
      const header = readNamespace(document)!;
      into = isOplog(header) ? oplog : collections.get(namespaceOf(header)) ?? [];
      return "documents";
    },
    piece() {},
    document: (document) => void into.push(document),
    blockEnd() {},
  });
  parser.push(bytes);
  parser.end();
  return { collections, oplog };
}

/**
 * Replays an oplog in memory as a server's applyOps does: strict about collections, which must be
 * there, and easy on documents, which the dump may have seen in any state of the window.
 *
 * @throws {Error} NamespaceNotFound
 */
export function replay({ collections, oplog }: ArchiveContent): Map<string, Uint8Array[]> {
  const state = new Map(
    [...collections].map(([name, documents]) => [
      name,
      new Map(documents.map((document) => [idOf(document), document])),
    ]),
  );
  const open = new Map<string, Uint8Array[]>();

  function apply(entry: Uint8Array): void {
    const { op, ns, o } = plain(entry);
    const raw = find(entry, "o")!.value;
    if (op === "n") return;
    if (op === "c") return command(String(ns).split(".")[0]!, o, raw);
    const collection = state.get(ns);
    if (collection === undefined) throw new Error(`NamespaceNotFound: ${ns}`);
    if (op === "i") collection.set(idOf(raw), raw);
    else if (op === "d") collection.delete(idOf(raw));
    else {
      const id = idOf(find(entry, "o2")!.value);
      const before = collection.get(id);
      if (before === undefined) return;
      const isChange = "$set" in o || "$unset" in o;
      collection.set(id, isChange ? operated(before, raw) : raw);
    }
  }

  function command(db: string, o: Document, raw: Uint8Array): void {
    const [name, value] = Object.entries(o)[0]!;
    const ns = `${db}.${value}`;
    if (name === "create" && o["viewOn"] === undefined && !state.has(ns)) state.set(ns, new Map());
    else if (name === "drop") state.delete(ns);
    else if (name === "dropDatabase") {
      for (const one of state.keys()) if (one.startsWith(`${db}.`)) state.delete(one);
    } else if (name === "applyOps") {
      for (const { value } of elements(find(raw, "applyOps")!.value)) apply(value);
    }
  }

  /** The operations of a transaction count when its last entry comes. */
  function follow(entry: Uint8Array): void {
    const { op, o, lsid, txnNumber } = plain(entry);
    if (op !== "c" || lsid === undefined || txnNumber === undefined) return apply(entry);
    const key = `${Buffer.from(find(entry, "lsid")!.value).toString("hex")} ${txnNumber}`;
    const parts = open.get(key) ?? [];
    if ("abortTransaction" in o) return void open.delete(key);
    if ("applyOps" in o) {
      parts.push(entry);
      open.set(key, parts);
      if (o["partialTxn"] === true || o["prepare"] === true) return;
    }
    parts.forEach(apply);
    open.delete(key);
  }

  oplog.forEach(follow);
  return new Map([...state].map(([name, documents]) => [name, [...documents.values()]]));
}

/** The digest of a collection that the recording's README describes. */
export function digestOf(documents: readonly Uint8Array[]): string {
  const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
  return sha256(documents.map((document) => sha256(document)).sort().join("\n"));
}

function plain(bytes: Uint8Array): Document {
  return deserialize(bytes, { promoteValues: false, bsonRegExp: true }) as Document;
}

function idOf(document: Uint8Array): string {
  const { type, value } = find(document, "_id")!;
  return `${type} ${Buffer.from(value).toString("hex")}`;
}
