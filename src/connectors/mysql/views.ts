import type { Abortable } from "../../core/bytes.ts";
import { type Client, quoteName } from "./client.ts";
import { askSchema, type Relation } from "./databases.ts";

/** A view's text. */
export interface View {
  readonly database: string;
  readonly name: string;
  /** Empty for who may not see it. Every table in it has its database in front, in backticks. */
  readonly definition: string;
  /** Whether it has WITH CHECK OPTION, which wants the views under it to be whole already. */
  readonly isChecked: boolean;
}

/** The views of databases with their texts. */
export async function listViews(
  client: Client,
  databases: readonly string[],
  o: Abortable,
): Promise<View[]> {
  const rows = await askSchema(
    client,
    "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name, VIEW_DEFINITION AS text, " +
      "CHECK_OPTION AS checked FROM information_schema.VIEWS WHERE TABLE_SCHEMA",
    databases,
    o,
  );
  return rows.map((row) => ({
    database: String(row["db"]),
    name: String(row["name"]),
    definition: String(row["text"] ?? ""),
    isChecked: String(row["checked"] ?? "NONE") !== "NONE",
  }));
}

/** The views that read, directly or through others, something of what is gone. */
export function readersOf(
  views: readonly View[],
  gone: readonly Pick<Relation, "database" | "name">[],
): View[] {
  const readers: View[] = [];
  let names = gone.map(qualified);
  while (names.length > 0) {
    const found = views.filter((view) =>
      !readers.includes(view) && names.some((name) => view.definition.includes(name))
    );
    readers.push(...found);
    names = found.map(qualified);
  }
  const isGone = new Set(gone.map(qualified));
  return readers.filter((view) => !isGone.has(qualified(view)));
}

function qualified({ database, name }: Pick<Relation, "database" | "name">): string {
  return `${quoteName(database)}.${quoteName(name)}`;
}
