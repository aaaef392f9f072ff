import type { RestoreFailure } from "../../contracts/restore.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";

/** A statement of an archive that failed, as `pg_restore --verbose` in English tells it. */
export interface ToolFailure {
  /** The archive's entry that it was for; undefined for what comes before any. */
  readonly entry: TocEntry | undefined;
  /** The server's words on one line, with its detail and where it happened. */
  readonly message: string;
}

/** What it says of its work, and not of a failure. */
const progress = new RegExp(
  "^(creating|processing|finished|launching|entering|executing|connecting|skipping|dropping|" +
    "setting|restoring|restored|enabling|disabling|implied|while|reading|table) ",
);

/** How failures begin, whatever comes before. */
const failureStart = /^(could not execute query: |COPY failed for table )/;

/**
 * Reads what pg_restore says while it goes on after failures. Its workers write at once: what one
 * says is in one piece, but `pg_restore: ` and `error: ` before it may be another's. So what is said
 * counts, and not where; and with the statement it says whose it is.
 *
 * @param onFailure is told each failure as soon as all of it was said
 */
export function failureReader(
  { entries }: ArchiveHead,
  isParallel: boolean,
  onFailure: (failure: ToolFailure) => void,
): { push(text: string): void; end(): void } {
  const byId = new Map(entries.map((entry) => [entry.dumpId, entry]));
  let rest = "";
  /** The entry that was named last, and those that no failure was told of yet. */
  let last: TocEntry | undefined;
  let named: TocEntry[] = [];
  let open: string[] | undefined;
  let told = 0;

  function line(text: string): void {
    const [, marks, said] = /^((?:(?:pg_restore|error|warning|detail|hint):| )*)([\s\S]*)$/.exec(
      text,
    )!;
    const id = /^from TOC entry (\d+);/.exec(said!)?.[1];
    if (id !== undefined) {
      close();
      last = byId.get(Number(id));
      if (last !== undefined) named.push(last);
    } else if (/^errors ignored on restore: \d+$/.test(said!)) {
      close();
      check(Number(/\d+$/.exec(said!)![0]));
    } else if (failureStart.test(said!) || marks!.includes("error:") && !progress.test(said!)) {
      close();
      open = [said!];
    } else if (marks!.trim() === "") open?.push(text);
    else close();
  }

  function close(): void {
    if (open === undefined) return;
    const [said, command] = open.join("\n").split(/^Command was: /m);
    open = undefined;
    tell({ entry: entryOf(said!, command), message: messageOf(said!) });
  }

  function tell(failure: ToolFailure): void {
    told++;
    named = named.filter((one) => one !== failure.entry);
    onFailure(failure);
  }

  function entryOf(said: string, command: string | undefined): TocEntry | undefined {
    const statement = command?.trim().replace(/\.\.\.$/, "");
    const table = /^COPY failed for table "(.*?)": /.exec(said)?.[1];
    const fits = (entry: TocEntry) =>
      statement !== undefined && statement !== "" &&
        (isBeginning(statement, entry.definition) ||
          isBeginning(statement, entry.copyStatement ?? "")) ||
      table !== undefined && entry.tag === table && entry.section === "data";
    if (last !== undefined && fits(last) && !named.some(fits)) return last;
    // Several workers name none.
    return named.find(fits) ?? entries.find(fits) ?? named.at(-1) ?? last;
  }

  /** So that none is overlooked, however it was worded. With several workers the count is too high. */
  function check(count: number): void {
    for (const entry of named) tell({ entry, message: "pg_restore tells of an error" });
    if (told < (isParallel ? Math.min(1, count) : count)) {
      tell({ entry: undefined, message: `pg_restore tells of ${count} errors` });
    }
  }

  return {
    push(text) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      lines.forEach(line);
    },
    end() {
      if (rest !== "") line(rest);
      close();
    },
  };
}

/**
 * Whether `statement` is what pg_restore shows of a definition: all, or how it begins. What another
 * worker's libpq warns of may follow.
 */
function isBeginning(statement: string, definition: string): boolean {
  const whole = definition.trim();
  return whole !== "" && (whole.startsWith(statement) || statement.startsWith(whole));
}

/** Whether the server says what fails in another language than English: its severity is not ERROR. */
export function isOfOtherLanguage(message: string): boolean {
  return /(^|: )[^\s:"]+: {2}/.test(message);
}

/** The failure as people and the command line get it. */
export function restoreFailure({ entry, message }: ToolFailure, database: string): RestoreFailure {
  if (entry === undefined) {
    return { database, message, leaves: "What depends on it may be missing or different." };
  }
  return { database, object: objectOf(entry), message, leaves: leavesOf(entry, nameOf(entry)) };
}

/** What an entry is about, for people: `index public.places_earth`. */
export function objectOf(entry: TocEntry): string {
  const kind = entry.description.toLowerCase().replace(/^(.*table|materialized view) data$/, "$1");
  return `${kind} ${nameOf(entry)}`;
}

function nameOf({ schema, tag }: TocEntry): string {
  return schema === undefined ? tag : `${schema}.${tag}`;
}

function leavesOf({ description, schema }: TocEntry, name: string): string {
  switch (description) {
    case "TABLE DATA":
      return `The rows of ${name} are not there.`;
    case "MATERIALIZED VIEW DATA":
      return `${name} is not filled; REFRESH MATERIALIZED VIEW does that once the cause is mended.`;
    case "BLOBS":
      return "Large objects are missing.";
    case "ACL":
    case "DEFAULT ACL":
      return "The privileges are not granted as they were.";
    case "COMMENT":
      return "The comment is missing.";
    case "SEQUENCE SET":
      return `The sequence ${name} begins anew.`;
    case "EXTENSION":
      return "What uses its types and functions is missing, too.";
    default:
      return schema === undefined || description.includes(" ")
        ? `The ${description.toLowerCase()} is missing.`
        : `${name} is missing, or is not all that it was.`;
  }
}

function messageOf(said: string): string {
  const [first = "", ...more] = said.trim().split("\n");
  const notes = more.flatMap((line) => /^(?:DETAIL|CONTEXT):\s+(.*)$/.exec(line)?.[1] ?? []);
  return [first.replace(/^could not execute query: /, "").replace(/(^|: )ERROR: +/, "$1"), ...notes]
    .map((part) => part.replace(/\.$/, "")).join("; ");
}

/**
 * Whether a statement failed because its connection ended: what comes after it fails by that alone.
 * Details do not count, nor what a foreign server did: that is an answer of this one.
 */
export function isOfLostConnection({ message }: Pick<ToolFailure, "message">): boolean {
  const [first = ""] = message.split("; ");
  return !message.includes("remote SQL command") && new RegExp(
    "server closed the connection|terminating connection|no connection to the server|" +
      "connection to server .* failed|SSL connection has been closed|could not (send|receive) data|" +
      "SYSCALL error|PQputCopy(Data|End)",
  ).test(first);
}

/**
 * Whether a statement failed by what others did at the same moment, such as other workers: it may
 * come good by itself.
 */
export function isOfContention({ message }: Pick<ToolFailure, "message">): boolean {
  return /deadlock detected|tuple concurrently (updated|deleted)|due to lock timeout/.test(message);
}

/** Whether a login failed because server, database or user has no more connections for it. */
export function isOfTooManyConnections({ message }: Pick<ToolFailure, "message">): boolean {
  return /too many (clients|connections)|remaining connection slots are reserved/.test(message);
}

/** What to do where {@link isOfLostConnection}. */
export const lostConnectionHint =
  "The server ended the connection: look into its log for why, and run the same restore again once " +
  "it is up. What was there before still is.";
