import { Buffer } from "node:buffer";
import type { Bytes } from "../../../core/bytes.ts";
import type { RestorableArtifact } from "../../../contracts/restore.ts";
import { truncated } from "./damage.ts";
import { tokensOf } from "./sql.ts";
import { type ArchiveHeader, type TocEntry, tocReader } from "./toc.ts";

/** Statements that run with those of an archive, in its transaction. */
export type AddedEntry = Pick<
  TocEntry,
  "dumpId" | "tag" | "description" | "definition" | "schema"
>;

/** An archive with more entries at the end of its table of contents. */
export function withEntries(
  artifact: RestorableArtifact,
  added: readonly AddedEntry[],
): RestorableArtifact {
  if (added.length === 0) return artifact;
  return { ...artifact, open: (o) => insert(artifact.open(o), added) };
}

/** An added entry as a reader of the archive would give it. */
export function entryOf(added: AddedEntry): TocEntry {
  return {
    ...added,
    catalog: 0,
    oid: 0,
    hasData: false,
    section: "post-data",
    copyStatement: undefined,
    tablespace: undefined,
    owner: undefined,
    dependencies: [],
  };
}

async function* insert(archive: Bytes, added: readonly AddedEntry[]): Bytes {
  const reader = tocReader();
  let held: Buffer[] | undefined = [];
  for await (const chunk of archive) {
    if (held === undefined) {
      yield chunk;
      continue;
    }
    // A copy: the producer uses its buffer again.
    held.push(Buffer.from(chunk));
    const rest = reader.push(chunk);
    if (rest === undefined) continue;
    const { header, entries, encoding } = reader.head();
    const whole = Buffer.concat(held);
    const end = whole.length - rest.length;
    const countEnd = header.tocAt + 1 + header.intBytes;
    yield Buffer.concat([
      whole.subarray(0, header.tocAt),
      numberOf(entries.length + added.length, header),
      whole.subarray(countEnd, end),
      ...added.map((entry) => bytesOf(encoding === "UTF8" ? entry : asciiEntry(entry), header)),
      rest,
    ]);
    held = undefined;
  }
  if (held !== undefined) throw truncated("it ends inside its table of contents");
}

/** Its name is for messages only. */
function asciiEntry(entry: AddedEntry): AddedEntry {
  const plain = (text: string) => text.replaceAll(/\P{ASCII}/gu, "?");
  return {
    ...entry,
    tag: plain(entry.tag),
    schema: undefined,
    definition: inAscii(entry.definition),
  };
}

/**
 * The same statement in ASCII, for an archive in another encoding: names and texts with the escapes
 * that SQL has, which the server takes into its own.
 */
export function inAscii(sql: string): string {
  return tokensOf(sql).map(({ type, source }) => {
    if (isAscii(source) || type !== "name" && type !== "text") return source;
    // E'…' of quoteText has its backslashes doubled, as U&'…' wants them.
    const isEscaping = /^E/i.test(source);
    const inside = source.replace(/^[Ee]/, "").slice(1, -1);
    const escaped = [...isEscaping ? inside : inside.replaceAll("\\", "\\\\")].map((character) =>
      isAscii(character)
        ? character
        : `\\+${character.codePointAt(0)!.toString(16).padStart(6, "0")}`
    ).join("");
    return type === "name" ? `U&"${escaped}"` : ` U&'${escaped}'`;
  }).join("");
}

function isAscii(text: string): boolean {
  return !/\P{ASCII}/u.test(text);
}

/** As WriteToc in PostgreSQL's pg_backup_archiver.c writes one; see readEntry in toc.ts. */
function bytesOf(
  { dumpId, tag, description, definition, schema }: AddedEntry,
  header: ArchiveHeader,
): Buffer {
  const text = (value: string | undefined) => textOf(value, header);
  const postData = 4;
  const noData = 3;
  return Buffer.concat([
    numberOf(dumpId, header),
    numberOf(0, header), // no rows
    text("0"),
    text("0"),
    text(tag),
    text(description),
    numberOf(postData, header),
    text(definition),
    text(""), // how to drop it
    text(undefined),
    text(schema),
    text(undefined),
    ...header.minor >= 14 ? [text(undefined)] : [],
    ...header.minor >= 16 ? [numberOf(0, header)] : [],
    text(""),
    text("false"),
    text(undefined), // no dependencies
    Buffer.from([noData, ...new Array<number>(header.offsetBytes).fill(0)]),
  ]);
}

/** A sign and the number with its lowest byte first. */
function numberOf(value: number, { intBytes }: ArchiveHeader): Buffer {
  const bytes = Buffer.alloc(1 + intBytes);
  bytes[0] = value < 0 ? 1 : 0;
  bytes.writeUInt32LE(Math.abs(value), 1);
  return bytes;
}

function textOf(value: string | undefined, header: ArchiveHeader): Buffer {
  if (value === undefined) return numberOf(-1, header);
  const bytes = Buffer.from(value);
  return Buffer.concat([numberOf(bytes.length, header), bytes]);
}
