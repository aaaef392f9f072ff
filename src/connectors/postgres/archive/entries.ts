/** The head of an archive. */
export interface ArchiveHeader {
  /** Of the format: 1.14 is 14, of PostgreSQL 12 to 15; 1.15 of 16, 1.16 of 17 and 18. */
  readonly minor: number;
  readonly intBytes: number;
  readonly offsetBytes: number;
  readonly isCompressed: boolean;
  readonly database: string;
  /** As the server says it: `15.18 (Debian 15.18-0+deb12u1)`. */
  readonly serverVersion: string;
  /** pg_dump's, in the same form. */
  readonly toolVersion: string;
  /** Where its table of contents begins, in bytes: with the number of entries. */
  readonly tocAt: number;
}

/** One entry of an archive's table of contents. */
export interface TocEntry {
  readonly dumpId: number;
  /** The oid of the catalog that the object is in (`pg_class`), and its own there; 0 for what has none. */
  readonly catalog: number;
  readonly oid: number;
  /** Whether a block of data belongs to it. */
  readonly hasData: boolean;
  /** The object's name, for some kinds with more: `orders orders_pkey`. */
  readonly tag: string;
  /** Its kind: `TABLE`, `TABLE DATA`, `FK CONSTRAINT`. */
  readonly description: string;
  /** When it is restored: before the data, as data, after it; undefined for what is none of these. */
  readonly section: "pre-data" | "data" | "post-data" | undefined;
  /** SQL that makes it. */
  readonly definition: string;
  readonly copyStatement: string | undefined;
  readonly schema: string | undefined;
  readonly tablespace: string | undefined;
  readonly owner: string | undefined;
  /** Dump ids of what it needs. */
  readonly dependencies: readonly number[];
}

/** The head and the table of contents. */
export interface ArchiveHead {
  readonly header: ArchiveHeader;
  /** The server's name of the encoding that its texts, rows and names are in: `UTF8`, `LATIN1`. */
  readonly encoding: string;
  readonly entries: readonly TocEntry[];
}
