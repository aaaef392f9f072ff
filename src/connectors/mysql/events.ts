import { Buffer } from "node:buffer";
import type { Abortable, Bytes } from "../../core/bytes.ts";
import { type Client, quoteName, quoteText, type Row } from "./client.ts";
import type { Program } from "./databases.ts";
import { serverCode } from "./refusals.ts";
import { createScanner } from "./scanner.ts";

/** Whether the tools would never end on one of these, looking for a delimiter that is not in it. */
export function hasEndless(programs: readonly Program[]): boolean {
  return programs.some(({ isEndless }) => isEndless);
}

// The first of the lines with which a dump gives the session's settings back.
const ending = /^\/\*!\d+ SET (?:TIME_ZONE=@OLD_TIME_ZONE|SQL_MODE=@OLD_SQL_MODE)\b/;

/**
 * Puts events into a dump that was made without them, behind everything else that it makes.
 *
 * @param read gives their statements; called once
 */
export async function* addEvents(bytes: Bytes, read: () => Promise<string>): Bytes {
  let out: Uint8Array[] = [];
  /** Bytes of the piece before it was known. */
  let pending: Uint8Array[] = [];
  let isKnown = false;
  /** What comes before the place; undefined while it was not found. */
  let before: Uint8Array[] | undefined;
  let isDone = false;
  const scanner = createScanner({
    span(chunk, start, end) {
      // Not slice(): a Buffer shares its memory with what that returns.
      (isKnown ? out : pending).push(new Uint8Array(chunk.subarray(start, end)));
    },
    known(type, head) {
      isKnown = true;
      const isPlace = type === "statement"
        ? ending.test(head)
        : type === "comment" && head.startsWith("-- Dump completed");
      if (isPlace && before === undefined) {
        before = out;
        out = [];
      }
      out.push(...pending);
      pending = [];
    },
    end() {
      isKnown = false;
    },
  });
  for await (const chunk of bytes) {
    if (isDone) {
      yield chunk;
      continue;
    }
    scanner.push(chunk);
    if (before !== undefined) {
      yield* before;
      yield Buffer.from(await read());
      out.push(...pending);
      isDone = true;
    }
    yield* out;
    out = [];
  }
  if (!isDone) yield* pending;
}

/** Statements that make events as they are now, in the words of the tools. */
export async function readEvents(
  client: Client,
  programs: readonly Program[],
  o: Abortable,
): Promise<string> {
  const parts: string[] = [];
  let current: string | undefined;
  for (const { type, database, name } of programs) {
    if (type !== "event") continue;
    const row = await showEvent(client, database, name, o);
    if (row === undefined) continue;
    if (database !== current) {
      parts.push(`--\n-- Dumping events\n--\n\nUSE ${quoteName(database)};\n`);
      current = database;
    }
    parts.push(eventSql(name, row));
  }
  return parts.join("");
}

async function showEvent(
  client: Client,
  database: string,
  name: string,
  o: Abortable,
): Promise<Row | undefined> {
  try {
    const place = `${quoteName(database)}.${quoteName(name)}`;
    return (await client.query(`SHOW CREATE EVENT ${place}`, o))[0];
  } catch (error) {
    // It was dropped meanwhile.
    if (serverCode(error) === noSuchEvent) return undefined;
    throw error;
  }
}

const noSuchEvent = 1539;

function eventSql(name: string, row: Row): string {
  const create = String(row["Create Event"]);
  const delimiter = delimiterFor(create);
  const settings = [
    ["character_set_client", "utf8mb4"],
    ["character_set_results", "utf8mb4"],
    ["collation_connection", String(row["collation_connection"])],
    ["sql_mode", quoteText(String(row["sql_mode"]))],
    ["time_zone", quoteText(String(row["time_zone"]))],
  ] as const;
  const saved = (setting: string) => `@saved_${setting}`;
  return [
    `DROP EVENT IF EXISTS ${quoteName(name)};`,
    ...settings.flatMap(([setting, value]) => [
      `SET ${saved(setting)} = @@${setting};`,
      `SET ${setting} = ${value};`,
    ]),
    `DELIMITER ${delimiter}`,
    `${create} ${delimiter}`,
    "DELIMITER ;",
    ...settings.toReversed().map(([setting]) => `SET ${setting} = ${saved(setting)};`),
    "",
  ].join("\n");
}

/** A delimiter that is not in a text. */
function delimiterFor(text: string): string {
  for (let count = 2;; count++) {
    const delimiter = "$".repeat(count);
    if (!text.includes(delimiter)) return delimiter;
  }
}
