import type { Bytes } from "../../../core/bytes.ts";
import { type CollectionMetadata, isOplog, readMetadata } from "./namespace.ts";
import { archiveParser, damaged, truncated } from "./parser.ts";

/**
 * Reads what an archive announces, and no further.
 *
 * @throws BackupError `verification/structure`, `verification/truncated`
 */
export async function readPrelude(bytes: Bytes): Promise<CollectionMetadata[]> {
  const entries: CollectionMetadata[] = [];
  let isOver = false;
  const parser = archiveParser({
    header() {},
    metadata(document) {
      const entry = readMetadata(document);
      if (entry === undefined) throw damaged("an entry of the prelude names no collection");
      if (!isOplog(entry)) entries.push(entry);
    },
    preludeEnd() {
      isOver = true;
    },
    namespace: () => "pieces",
    piece() {},
    document() {},
    blockEnd() {},
  });
  for await (const chunk of bytes) {
    parser.push(chunk);
    if (isOver) return entries;
  }
  throw truncated("it ends inside its prelude");
}
