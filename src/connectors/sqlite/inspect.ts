import type { SourceInfo } from "../../contracts/connector.ts";
import type { Position } from "../../contracts/manifest.ts";
import { type Source, type SourceOptions, withSource } from "./source.ts";

/** Looks at a database file. @throws as {@link withSource} */
export async function inspect(path: string, o: SourceOptions): Promise<SourceInfo> {
  return await withSource(path, o, async (source) => {
    const [size] = await source.database.all(
      "SELECT page_size * page_count AS bytes, sqlite_version() AS version " +
        "FROM pragma_page_size, pragma_page_count",
    );
    return {
      place: source.path,
      flavour: "SQLite",
      version: String(size?.["version"]),
      tools: [],
      privileges: [{ name: "read the file", isGranted: true }],
      omissions: [],
      capabilities: ["full"],
      position: await readPosition(source),
      clockOffsetMs: 0, // the file's clock is ours
      estimatedBytes: Number(size?.["bytes"]),
      warnings: [],
      advice: source.header?.isWal === false ? [journalAdvice] : [],
      locks: [source.path],
    };
  });
}

const journalAdvice =
  "Writers wait while the copy is made, because the database keeps a rollback " +
  "journal; in WAL mode (PRAGMA journal_mode=WAL) they would not";

/**
 * Where the database stands. The counter is read from the file before the snapshot begins, so it is
 * never newer than the data; in WAL mode it moves only with checkpoints.
 */
export async function readPosition({ database, header }: Source): Promise<Position> {
  const [row] = await database.all("PRAGMA schema_version");
  return {
    type: "sqlite",
    changeCounter: header?.changeCounter ?? 0,
    schemaCookie: Number(row?.["schema_version"] ?? 0),
  };
}
