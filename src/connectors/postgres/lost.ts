import type { TocEntry } from "./archive/toc.ts";

/** What belongs to a table and goes without saying when that is told. */
const belongings = [
  ...["SEQUENCE OWNED BY", "DEFAULT", "CONSTRAINT", "INDEX"],
  ...["CHECK CONSTRAINT", "TABLE ATTACH", "INDEX ATTACH", "STATISTICS", "ROW SECURITY", "POLICY"],
  ...["TRIGGER", "RULE", "FK CONSTRAINT", "SEQUENCE"],
];

/** What is only said, or stored, of something else. */
const nameless = [
  ...["COMMENT", "ACL", "SECURITY LABEL", "TABLE DATA", "MATERIALIZED VIEW DATA"],
  ...["STATISTICS DATA", "SEQUENCE SET"],
];

/** Knows what of an archive goes with what. */
export interface Archived {
  /** What cannot be made without an entry: its rows, its index; dump ids. */
  readonly users: (entry: TocEntry) => readonly TocEntry[];
  /** Whether an archive has rows for a table. */
  readonly hasRows: (table: TocEntry) => boolean;
}

/** Looks through an archive once. */
export function archived(entries: readonly TocEntry[]): Archived {
  const byNeed = new Map<number, TocEntry[]>();
  for (const entry of entries) {
    for (const id of entry.dependencies) {
      const users = byNeed.get(id);
      if (users === undefined) byNeed.set(id, [entry]);
      else users.push(entry);
    }
  }
  // The rows of a table need not be noted as needing it: their name tells.
  const rows = Map.groupBy(
    entries.filter(({ description }) => description === "TABLE DATA"),
    nameKey,
  );
  const values = Map.groupBy(
    entries.filter(({ description }) => description === "SEQUENCE SET"),
    nameKey,
  );
  const partitions = new Set(
    entries.filter(({ description }) => description === "TABLE ATTACH").map(nameKey),
  );
  const isPartition = (entry: TocEntry) =>
    entry.description === "TABLE" && partitions.has(nameKey(entry));
  return {
    users(entry) {
      const found = byNeed.get(entry.dumpId) ?? [];
      if (entry.description === "SEQUENCE") return [...found, ...values.get(nameKey(entry)) ?? []];
      if (entry.description !== "TABLE") return found;
      // A partition is a table of its own; a sequence is made without the column that owns it.
      const own = found.filter((one) => !isPartition(one) && !isFreeSequence(one));
      return [...own, ...rows.get(nameKey(entry)) ?? []];
    },
    hasRows: (table) => rows.has(nameKey(table)),
  };
}

/** A sequence of its own, and not an identity column's. */
export function isFreeSequence({ description, definition }: TocEntry): boolean {
  return description === "SEQUENCE" && !definition.startsWith("ALTER TABLE ");
}

/** Entries, and all that cannot be made without them. */
export function lostWith(
  roots: readonly TocEntry[],
  { users }: Pick<Archived, "users">,
): ReadonlySet<TocEntry> {
  const lost = new Set(roots);
  for (const entry of lost) users(entry).forEach((one) => lost.add(one));
  return lost;
}

/** Those of what is lost that people are told of: not what is nothing without a table. */
export function worthTelling(lost: ReadonlySet<TocEntry>): TocEntry[] {
  const tables = new Set(
    [...lost].filter(({ description }) => description === "TABLE").map(({ dumpId }) => dumpId),
  );
  return [...lost].filter(({ description, dependencies }) =>
    !nameless.includes(description) &&
    !(belongings.includes(description) && dependencies.some((id) => tables.has(id)))
  );
}

function nameKey({ schema, tag }: TocEntry): string {
  return JSON.stringify([schema, tag]);
}
