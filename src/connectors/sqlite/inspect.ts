import type { Since } from "../../contracts/changes.ts";
import type { SourceInfo } from "../../contracts/source.ts";
import { kinds } from "../../contracts/manifest.ts";
import { continuationOf, readGeneration } from "./changes/position.ts";
import { type SourceOptions, withSource } from "./source.ts";

/**
 * Looks at a database file.
 *
 * @param o.since what a next backup would build on
 * @throws as {@link withSource}
 */
export async function inspect(
  path: string,
  { since, ...o }: SourceOptions & { readonly since?: Since | undefined },
): Promise<SourceInfo> {
  return await withSource(path, o, async (source) => {
    const [size] = await source.database.all(
      "SELECT page_size * page_count AS bytes, sqlite_version() AS version " +
        "FROM pragma_page_size, pragma_page_count",
    );
    const generation = await readGeneration(source);
    const { changeCounter, schemaCookie } = generation;
    return {
      place: source.path,
      flavour: "SQLite",
      version: String(size?.["version"]),
      tools: [],
      privileges: [{ name: "read the file", isGranted: true }],
      omissions: [],
      capabilities: kinds,
      position: { type: "sqlite", changeCounter, schemaCookie },
      ...since === undefined ? {} : { continues: continuationOf(since.parent, generation) },
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
