import { SaxesParser } from "saxes";
import { ForeignAnswer } from "../foreign.ts";
import { cutUsualEntries, type Entry } from "./usual-entries.ts";

/** One page of a LIST. */
export interface Page {
  readonly entries: readonly Entry[];
  /** Where the next page begins; undefined for the last one. */
  readonly next: string | undefined;
}

/**
 * Reads a page.
 *
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 *
 * @throws ForeignAnswer for what is no list of objects; IncompletePage
 */
export async function readPage(answer: Pick<Response, "bytes">): Promise<Page> {
  const bytes = await answer.bytes();
  const cut = cutUsualEntries(bytes);
  if (cut === undefined) return parsePage(bytes);
  const { next } = parsePage(cut.rest);
  return { entries: cut.entries, next };
}

function parsePage(bytes: Uint8Array): Page {
  const entries: Entry[] = [];
  // The names of the open elements, and the text of the innermost.
  const path: string[] = [];
  const facts = new Map<string, string>();
  let entry = new Map<string, string>();
  let text = "";
  const parser = new SaxesParser({ position: false });
  parser.on("opentag", ({ name }) => {
    path.push(localName(name));
    text = "";
  });
  parser.on("text", (piece) => text += piece);
  parser.on("cdata", (piece) => text += piece);
  parser.on("closetag", () => {
    const name = path.pop()!;
    const place = path.join("/");
    if (place === root) {
      if (name !== "Contents") facts.set(name, text);
      else {
        entries.push(toEntry(entry));
        entry = new Map();
      }
    } else if (place === `${root}/Contents`) {
      entry.set(name, text);
    } else if (place === "" && name !== root) {
      throw new ForeignAnswer("it is no list of objects");
    }
    text = "";
  });
  parser.on("error", (cause) => {
    // Anybody may have stored something whose name XML cannot hold: it is not ours.
    if (!/disallowed character\.$|character entity/.test(cause.message)) throw cause;
  });
  parse(parser, bytes);
  // Whatever it is, it must not pass for an empty bucket.
  if (!facts.has("Name") && !facts.has("IsTruncated")) {
    throw new ForeignAnswer("it is no list of objects");
  }
  const token = facts.get("NextContinuationToken");
  return { entries, next: facts.get("IsTruncated") === "true" ? token : undefined };
}

/** An answer that says that all is well, and is cut short or garbled. */
export class IncompletePage extends Error {
  override readonly name = "IncompletePage";
  /** As the errors of the SDK have it. */
  readonly $metadata = { httpStatusCode: 200 };
}

const root = "ListBucketResult";

function parse(parser: SaxesParser, bytes: Uint8Array): void {
  if (bytes.byteLength === 0) throw new ForeignAnswer("it is no list of objects");
  try {
    parser.write(new TextDecoder().decode(bytes)).close();
  } catch (cause) {
    throw asTold(cause);
  }
}

function asTold(cause: unknown): unknown {
  return cause instanceof ForeignAnswer ? cause : new IncompletePage("not whole", { cause });
}

function toEntry(entry: ReadonlyMap<string, string>): Entry {
  const modifiedAt = new Date(entry.get("LastModified") ?? 0);
  return {
    name: entry.get("Key") ?? "",
    bytes: Number(entry.get("Size") ?? 0),
    modifiedAt: Number.isNaN(modifiedAt.getTime()) ? new Date(0) : modifiedAt,
  };
}

/** Without the namespace's prefix. */
function localName(name: string): string {
  return name.slice(name.indexOf(":") + 1);
}
