/** The first 100 bytes of a SQLite database, https://www.sqlite.org/fileformat2.html#the_database_header */
export interface Header {
  readonly pageBytes: number;
  /** Whether readers and writers use a write-ahead log. */
  readonly isWal: boolean;
  /** Counts transactions; in WAL mode only checkpoints move it. */
  readonly changeCounter: number;
  /** Pages of the whole database; undefined where a version before 3.7.0 wrote last. */
  readonly pages: number | undefined;
  /** Counts changes of the schema. */
  readonly schemaCookie: number;
}

/** The length of a {@link Header}. */
export const headerBytes = 100;

/** "SQLite format 3\0"; an encrypted database has random bytes here. */
const magic = new TextEncoder().encode("SQLite format 3\0");

/** Reads a header; undefined when the bytes are not one. */
export function parseHeader(bytes: Uint8Array): Header | undefined {
  if (bytes.byteLength < headerBytes || magic.some((byte, at) => bytes[at] !== byte)) {
    return undefined;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const stored = view.getUint16(16);
  const pageBytes = stored === 1 ? 65_536 : stored; // 65,536 does not fit the field
  const isPowerOfTwo = (pageBytes & (pageBytes - 1)) === 0;
  const fractions = [view.getUint8(21), view.getUint8(22), view.getUint8(23)];
  if (pageBytes < 512 || !isPowerOfTwo || fractions.join() !== "64,32,32") return undefined;
  const changeCounter = view.getUint32(24);
  const pages = view.getUint32(28);
  return {
    pageBytes,
    isWal: view.getUint8(18) === 2,
    changeCounter,
    // The size in the header counts only if its writer also set "version valid for".
    pages: pages > 0 && changeCounter === view.getUint32(92) ? pages : undefined,
    schemaCookie: view.getUint32(40),
  };
}
