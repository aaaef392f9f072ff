import type { Bytes } from "../../../core/bytes.ts";
import { documentOf, elements, stringElement } from "./bson.ts";
import { type Crc64, crc64 } from "./crc64.ts";
import {
  assertChecksum,
  type CollectionMetadata,
  isOplog,
  type NamespaceHeader,
  plainName,
  readMetadata,
  readNamespace,
  writeNamespace,
} from "./namespace.ts";
import {
  changesOf,
  hasData,
  isWrite,
  type NamespaceRules,
  type OplogChange,
  type OplogTime,
  ruledEntry,
  timeOf,
} from "./oplog.ts";
import { archiveParser, damaged } from "./parser.ts";
import { idempotencyWindow } from "./window.ts";

/** How to rewrite an archive. */
export interface ArchiveRules extends NamespaceRules {
  /**
   * A moment that the dump's reads have certainly seen. mongodump's oplog begins with the entry
   * before it; where that is a write, it is in the documents already, and is left out.
   */
  readonly seenUntil?: { readonly t: number; readonly i: number };
  /** Called with each entry of the oplog, as it was before. */
  readonly onOplog?: (entry: Uint8Array) => void;
  /** Called with the collection whose documents follow, where they are kept. */
  readonly onBlock?: (db: string, collection: string) => void;
  /** Called with what each entry of the oplog that is kept changes, under the names of the backup. */
  readonly onChange?: (change: OplogChange) => void;
  /** Called with each collection of the prelude that is kept, under the names of the backup. */
  readonly onCollection?: (entry: CollectionMetadata) => void;
  /**
   * Takes what would be kept of the oplog, under the names of the backup: then none of it is passed
   * on. Documents that go after a time stay until it is replayed: the collections' own such options
   * are left out.
   */
  readonly onEntry?: (entry: Uint8Array) => void;
  /** Called at the end, with collections that the archive should hold and does not. */
  readonly onLost?: (lost: readonly { db: string; collection: string }[]) => void;
}

const terminator = Uint8Array.of(0xff, 0xff, 0xff, 0xff);

/**
 * Passes an archive on with only the namespaces that the rules keep, in its oplog too.
 *
 * mongorestore takes no namespace filter together with `--oplogReplay`, and mongodump none for
 * several databases; so that one database out of a consistent dump stays consistent, the archive is
 * filtered instead. Kept documents pass as the same bytes, without a copy. What no server replays is
 * left out of the oplog: see {@link idempotencyWindow}.
 *
 * @throws BackupError `verification/structure`, `verification/truncated`
 */
export async function* rewriteArchive(bytes: Bytes, rules: ArchiveRules): Bytes {
  let pieces: Uint8Array[] = [];
  let isKept = true;
  /** What the rules leave of the oplog has another checksum. */
  const ruledOplogCrc: Crc64 = crc64();
  const oplogCrc: Crc64 = crc64();
  const window = idempotencyWindow();
  let isFirstEntry = true;
  const parser = archiveParser({
    header(document) {
      pieces.push(Uint8Array.of(0x6d, 0xe2, 0x99, 0x81), document);
    },
    metadata(document) {
      const entry = readMetadata(document);
      if (entry === undefined) throw damaged("an entry of the prelude names no collection");
      if (isOplog(entry)) return void pieces.push(document);
      window.announce(entry);
      if (!rules.keep(entry.db, entry.collection)) return;
      rules.onCollection?.(entry);
      const lasting = rules.onEntry === undefined ? entry.metadata : withoutExpiry(entry.metadata);
      pieces.push(described(document, rules.rename(entry.db), lasting));
    },
    preludeEnd() {
      pieces.push(terminator);
    },
    namespace(document) {
      const header = readNamespace(document);
      if (header === undefined) throw damaged("a block's header names no collection");
      isKept = isOplog(header) || isBlockKept(header);
      if (isKept) {
        pieces.push(headerFor(header));
        rules.onBlock?.(header.db, plainName(header.collection));
      }
      return isOplog(header) ? "documents" : "pieces";
    },
    piece(bytes) {
      // The length field is a buffer that the parser uses again within the same chunk.
      if (isKept) pieces.push(bytes.byteLength === 4 ? new Uint8Array(bytes) : bytes);
    },
    document(document) {
      oplogCrc.update(document);
      const time = timeOf(document);
      rules.onOplog?.(document);
      const isSeen = isFirstEntry && isWrite(document) && isUntil(time, rules.seenUntil);
      isFirstEntry = false;
      if (isSeen) return;
      const passed = window.pass(document);
      if (rules.onEntry !== undefined) return void (passed && rules.onEntry(passed));
      const ruled = passed && ruledEntry(passed, rules);
      if (ruled === undefined || passed === undefined) return;
      if (rules.onChange !== undefined) {
        for (const change of changesOf(passed)) rules.onChange(change);
      }
      ruledOplogCrc.update(ruled);
      pieces.push(ruled);
    },
    blockEnd() {
      if (isKept) pieces.push(terminator);
    },
  });

  function isBlockKept({ db, collection, isEof }: NamespaceHeader): boolean {
    const name = plainName(collection);
    return rules.keep(db, name) && (isEof || hasData(rules, db, name));
  }

  function headerFor(header: NamespaceHeader): Uint8Array {
    const { db, collection, isEof } = header;
    if (isOplog(header)) {
      if (!isEof) return writeNamespace(header);
      assertChecksum(header, oplogCrc);
      return writeNamespace({ ...header, crc: ruledOplogCrc.value() });
    }
    const crc = hasData(rules, db, plainName(collection)) ? header.crc : crc64().value();
    return writeNamespace({ ...header, db: rules.rename(db), crc });
  }

  for await (const chunk of bytes) {
    pieces = [];
    parser.push(chunk);
    yield* pieces;
  }
  parser.end();
  rules.onLost?.(
    window.lost().filter(({ db, collection }) => rules.keep(db, plainName(collection))),
  );
}

function isUntil(time: OplogTime | undefined, moment: ArchiveRules["seenUntil"]): boolean {
  if (time === undefined || moment === undefined) return false;
  return time.t < moment.t || (time.t === moment.t && time.i <= moment.i);
}

function described(document: Uint8Array, db: string, metadata: string): Uint8Array {
  const parts = [...elements(document)];
  return documentOf(
    parts.map(({ name, raw }) =>
      name === "db"
        ? stringElement("db", db)
        : name === "metadata"
        ? stringElement("metadata", metadata)
        : raw
    ),
  );
}

/** The description of a collection without the time after which its documents go. */
function withoutExpiry(metadata: string): string {
  if (!metadata.includes('"expireAfterSeconds"')) return metadata;
  const { options, ...rest } = JSON.parse(metadata) as { options?: Record<string, unknown> };
  if (options?.["expireAfterSeconds"] === undefined) return metadata;
  const { expireAfterSeconds: _, ...lasting } = options;
  return JSON.stringify({ ...rest, options: lasting });
}
