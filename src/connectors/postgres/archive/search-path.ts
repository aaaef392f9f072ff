import { Buffer } from "node:buffer";
import type { Bytes } from "../../../core/bytes.ts";
import { literalText, statementsOf, tokensOf } from "./sql.ts";
import type { ArchiveHead } from "./toc.ts";

/** What every archive since PostgreSQL 10.3 has its restore say first. */
const emptyPath = "SELECT pg_catalog.set_config('search_path', '', false);\n";

// The statement is in one of the first entries.
const searchedBytes = 64 * 1024;

/**
 * The search paths that a database's own sessions have: its own, those of roles in it, and the
 * server's default. Each as the text of the setting.
 */
export function searchPathsOf({ entries }: ArchiveHead): string[] {
  const properties = entries.filter(({ description }) => description === "DATABASE PROPERTIES");
  const set = properties.flatMap(({ definition }) => statementsOf(definition)).flatMap(
    (statement) => {
      const tokens = tokensOf(statement).filter(({ source }) => source.trim() !== "");
      const at = tokens.findIndex(({ source }, index) =>
        source === "search_path" && tokens[index - 1]?.source.toUpperCase() === "SET"
      );
      if (at < 0) return [];
      return [
        tokens.slice(at + 1).filter(({ type }) => type === "text").map(({ source }) =>
          literalText(source)
        ),
      ];
    },
  );
  const paths = [...set, ["$user", "public"]].map((schemas) =>
    // Where it stands in a path by name, what comes before it hides the system's own functions.
    schemas.filter((name) => name !== "" && name !== "pg_catalog")
  );
  return [
    ...new Set(
      paths.filter((schemas) => schemas.length > 0)
        .map((schemas) => schemas.map((name) => `"${name.replaceAll('"', '""')}"`).join(", ")),
    ),
  ];
}

/**
 * An archive that restores with another search_path than the empty one. Where the statement for it
 * is not found, as in archives of older versions, the bytes stay as they are.
 */
export async function* withSearchPath(archive: Bytes, path: string): Bytes {
  let held: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of archive) {
    if (held === undefined) {
      yield chunk;
      continue;
    }
    held = Buffer.concat([held, chunk]);
    if (held.length < searchedBytes && replaced(held, path) === undefined) continue;
    yield replaced(held, path) ?? held;
    held = undefined;
  }
  if (held !== undefined) yield replaced(held, path) ?? held;
}

function replaced(bytes: Buffer, path: string): Buffer | undefined {
  // After PGDMP come three bytes of the version, then how many bytes a number takes.
  const intBytes = bytes[8] ?? 4;
  const before = textOf(emptyPath, intBytes);
  const at = bytes.indexOf(before);
  if (at < 0) return undefined;
  const statement = `SELECT pg_catalog.set_config('search_path', ${literal(path)}, false);\n`;
  return Buffer.concat([
    bytes.subarray(0, at),
    textOf(statement, intBytes),
    bytes.subarray(at + before.length),
  ]);
}

/** A text as an archive has it: a sign, the length with its lowest byte first, the bytes. */
function textOf(text: string, intBytes: number): Buffer {
  const length = Buffer.alloc(1 + intBytes);
  length.writeUInt32LE(Buffer.byteLength(text), 1);
  return Buffer.concat([length, Buffer.from(text)]);
}

/** In ASCII, whatever the encoding of the archive is. */
function literal(path: string): string {
  const quoted = path.replaceAll("'", "''");
  if (/^[\x20-\x7e]*$/.test(quoted)) return `'${quoted}'`;
  const escaped = [...quoted.replaceAll("\\", "\\\\")].map((character) => {
    const point = character.codePointAt(0)!;
    return point < 0x7f ? character : `\\+${point.toString(16).padStart(6, "0")}`;
  });
  return `U&'${escaped.join("")}'`;
}
