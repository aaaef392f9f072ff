import { Buffer } from "node:buffer";

/** What a LIST says of one object. */
export interface Entry {
  readonly name: string;
  readonly bytes: number;
  readonly modifiedAt: Date;
}

/** The objects of a page, and the page without them. */
export interface Cut {
  readonly entries: readonly Entry[];
  /** What stands before and after them: for a reader of XML, which checks that it is whole. */
  readonly rest: Uint8Array;
}

/**
 * Cuts the objects out of a page that is written as stores usually write it: each in `<Contents>`,
 * one after the other, with nothing in them but elements without attributes. A reader of XML takes
 * ten times as long, which for the objects of ten thousand backups is a second.
 *
 * Each name is a text of its own, not a part of the page's: that would keep the page in memory.
 *
 * @returns undefined for a page that is written in any other way
 */
export function cutUsualEntries(page: Uint8Array): Cut | undefined {
  const bytes = Buffer.from(page.buffer, page.byteOffset, page.byteLength);
  const first = bytes.indexOf(open);
  if (first < 0) return undefined;
  const entries: Entry[] = [];
  let position = first;
  while (bytes.subarray(position, position + open.length).equals(open)) {
    const end = bytes.indexOf(close, position);
    if (end < 0) return undefined;
    const entry = readEntry(bytes.toString("utf8", position + open.length, end));
    if (entry === undefined) return undefined;
    entries.push(entry);
    position = end + close.length;
    // Some break the line between them.
    while (bytes[position] === 0x0a || bytes[position] === 0x20) position++;
  }
  const rest = Buffer.concat([bytes.subarray(0, first), bytes.subarray(position)]);
  // They stand in several places, or in a comment.
  if (rest.includes("Contents") || rest.includes("<!")) return undefined;
  return { entries, rest };
}

const open = Buffer.from("<Contents>");
const close = Buffer.from("</Contents>");

function readEntry(text: string): Entry | undefined {
  let name: string | undefined;
  let bytes: number | undefined;
  let modifiedAt: Date | undefined;
  element.lastIndex = 0;
  for (let at = 0; at < text.length; at = element.lastIndex) {
    const match = element.exec(text);
    if (match === null) return undefined;
    const [, tag, value = ""] = match;
    if (tag === "Key") name = decoded(value);
    else if (tag === "Size") bytes = /^\d{1,16}$/.test(value) ? Number(value) : undefined;
    else if (tag === "LastModified") modifiedAt = new Date(value);
  }
  const isWhole = name !== undefined && bytes !== undefined && modifiedAt !== undefined &&
    !Number.isNaN(modifiedAt.getTime());
  return isWhole ? { name: name!, bytes: bytes!, modifiedAt: modifiedAt! } : undefined;
}

// One that holds a text, or others that hold texts, such as <Owner>.
const element = /\s*<(\w+)>(?:([^<>]*)|(?:\s*<(\w+)>[^<>]*<\/\3>)*\s*)<\/\1>\s*|\s*<\w+\/>\s*/y;

/** Undefined for what only a reader of XML knows. */
function decoded(text: string): string | undefined {
  if (!text.includes("&")) return Buffer.from(text).toString();
  let isKnown = true;
  const plain = text.replace(/&([^;&]*);?/g, (_, name: string) => {
    const code = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/i.exec(name);
    if (code !== null) {
      const point = code[1] === undefined ? Number(code[2]) : parseInt(code[1], 16);
      if (point <= 0x10ffff) return String.fromCodePoint(point);
    }
    isKnown &&= Object.hasOwn(entities, name);
    return entities[name] ?? "";
  });
  return isKnown ? plain : undefined;
}

const entities: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};
