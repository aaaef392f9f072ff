import type { RecipeInput } from "../../contracts/recipe.ts";

/** The commands that turn the artifact into a database file again. */
export function recipe({ artifact, rawBytesCommand }: RecipeInput): string[] {
  return [
    `# The SQLite database ${JSON.stringify(artifact.databases[0] ?? "")}, whole and checked:`,
    `${rawBytesCommand} > restored.db`,
    "sqlite3 restored.db 'PRAGMA integrity_check'",
    "# To put it in the place of another file, first stop every program that uses that file, and",
    "# move its -wal, -shm and -journal away with it: SQLite would replay them into the new one.",
  ];
}
