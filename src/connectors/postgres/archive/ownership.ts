import type { ArchiveHead, TocEntry } from "./toc.ts";

/** Which entries of an archive make up one object: a table with its rows, indexes, privileges. */
export interface Ownership {
  readonly byId: ReadonlyMap<number, TocEntry>;
  /** The object that an entry is a part of; itself where it is one. */
  ownerOf(entry: TocEntry): TocEntry;
  /** An object's entries, itself first, in the archive's order. */
  partsOf(owner: TocEntry): readonly TocEntry[];
  /** The partitions and inheriting tables of a table. */
  childrenOf(table: TocEntry): readonly TocEntry[];
  /** The tables that a table is a partition of, or inherits from. */
  parentsOf(table: TocEntry): readonly TocEntry[];
  /** The entries `TABLE ATTACH` by which a table becomes a partition. */
  attachmentOf(table: TocEntry): TocEntry | undefined;
  /** The sequences that a table owns: of serial and identity columns. */
  sequencesOf(table: TocEntry): readonly TocEntry[];
}

/** What has rows or columns. */
export const relationKinds: readonly string[] = [
  ...["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"],
];

/** Their tag is the relation's name, a space, and their own. */
const taggedWithRelation = [
  ...["CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "DEFAULT", "TRIGGER", "RULE", "POLICY"],
];

/** Their tag is the relation's name, or their schema and dependencies tell. */
const namedAsRelation = [
  ...["TABLE DATA", "MATERIALIZED VIEW DATA", "STATISTICS DATA", "ROW SECURITY"],
  ...["SEQUENCE SET", "SEQUENCE OWNED BY"],
];

/** They depend on what they are about, and on the partition or index that they join first. */
const ofTheirDependency = [
  ...["INDEX", "STATISTICS", "INDEX ATTACH", "TABLE ATTACH", "COMMENT", "ACL", "SECURITY LABEL"],
  "PUBLICATION TABLE",
];

/** Tells whose every entry is, by pg_dump's tags and dependencies (pg_dump.c, since version 11). */
export function ownershipOf({ entries }: ArchiveHead): Ownership {
  const byId = new Map(entries.map((entry) => [entry.dumpId, entry]));
  const relations = new Map(
    entries.filter(({ description }) => relationKinds.includes(description))
      .map((entry) => [keyOf(entry.schema, entry.tag), entry]),
  );
  const owners = new Map<number, TocEntry>();
  const dependenciesOf = (entry: TocEntry) =>
    entry.dependencies.flatMap((id) => byId.get(id) ?? []).filter((one) => one !== entry);

  function ownerOf(entry: TocEntry): TocEntry {
    const known = owners.get(entry.dumpId);
    if (known !== undefined) return known;
    // Not to go round in circles.
    owners.set(entry.dumpId, entry);
    const one = ownedBy(entry);
    const owner = one === undefined ? entry : ownerOf(one);
    owners.set(entry.dumpId, owner);
    return owner;
  }

  function ownedBy(entry: TocEntry): TocEntry | undefined {
    const { description, schema, tag } = entry;
    const needs = dependenciesOf(entry);
    if (namedAsRelation.includes(description)) {
      return relations.get(keyOf(schema, tag)) ??
        // Statistics of an index. Rows of a table that an extension makes are nobody's.
        needs.find((one) => one.schema === schema && one.tag === tag);
    }
    if (taggedWithRelation.includes(description)) {
      return needs.find((one) =>
        (relationKinds.includes(one.description) || one.description === "DOMAIN") &&
        one.schema === schema && tag.startsWith(`${one.tag} `)
      );
    }
    if (!ofTheirDependency.includes(description)) return undefined;
    if (description === "INDEX ATTACH") {
      return needs.find((one) => nameOfIndex(one) === tag && one.schema === schema);
    }
    if (description === "TABLE ATTACH") return relations.get(keyOf(schema, tag));
    if (description === "INDEX" || description === "STATISTICS") {
      return needs.find((one) => relationKinds.includes(one.description));
    }
    if (description === "PUBLICATION TABLE") {
      return needs.find((one) => relationKinds.includes(one.description));
    }
    return needs[0];
  }

  const parts = Map.groupBy(entries, ownerOf);
  const attachments = new Map(
    entries.filter(({ description }) => description === "TABLE ATTACH")
      .map((entry) => [ownerOf(entry).dumpId, entry]),
  );

  function parentsOf(table: TocEntry): readonly TocEntry[] {
    const attachment = attachments.get(table.dumpId);
    const from = attachment ?? (isInheriting(table) ? table : undefined);
    if (from === undefined) return [];
    return [...new Set(dependenciesOf(from))].filter((one) =>
      one !== table && /^(FOREIGN )?TABLE$/.test(one.description) &&
      (attachment !== undefined || isNamedIn(inheritedOf(table), one))
    );
  }

  const children = new Map<number, TocEntry[]>();
  const sequences = new Map<number, TocEntry[]>();
  const add = (map: Map<number, TocEntry[]>, key: TocEntry, entry: TocEntry) => {
    map.set(key.dumpId, [...map.get(key.dumpId) ?? [], entry]);
  };
  for (const entry of relations.values()) {
    for (const parent of parentsOf(entry)) add(children, parent, entry);
    if (entry.description !== "SEQUENCE") continue;
    const table = dependenciesOf(entry).find(({ description }) => description !== "SEQUENCE");
    if (table !== undefined && relationKinds.includes(table.description)) {
      add(sequences, table, entry);
    }
  }
  return {
    byId,
    ownerOf,
    partsOf: (owner) => {
      const all = parts.get(owner) ?? [];
      return [owner, ...all.filter((one) => one !== owner)];
    },
    childrenOf: ({ dumpId }) => children.get(dumpId) ?? [],
    parentsOf,
    attachmentOf: ({ dumpId }) => attachments.get(dumpId),
    sequencesOf: ({ dumpId }) => sequences.get(dumpId) ?? [],
  };
}

/** Whether a sequence is the identity of a column, and so no object that could be made alone. */
export function isIdentity({ description, definition }: TocEntry): boolean {
  return description === "SEQUENCE" && /^\s*ALTER TABLE /.test(definition);
}

/** The name of the index that an entry makes: its own, or its constraint's. */
export function nameOfIndex({ description, tag, definition }: TocEntry): string | undefined {
  if (description === "INDEX") return tag;
  if (description !== "CONSTRAINT") return undefined;
  const quoted = / ADD CONSTRAINT ("(?:[^"]|"")*"|\S+) /.exec(definition)?.[1];
  return quoted?.startsWith('"') ? quoted.slice(1, -1).replaceAll('""', '"') : quoted;
}

function isInheriting({ definition }: TocEntry): boolean {
  return inheritedOf({ definition }) !== "" || / PARTITION OF /.test(definition);
}

/** The list after `INHERITS`, or the parent after `PARTITION OF` as pg_dump before 12 writes it. */
function inheritedOf({ definition }: Pick<TocEntry, "definition">): string {
  return /^INHERITS \(([^\n]*)\)/m.exec(definition)?.[1] ??
    /^CREATE [^\n]*TABLE [^\n]* PARTITION OF ([^\n]*)/m.exec(definition)?.[1] ?? "";
}

/** Whether a list of tables, as pg_dump writes them, has this one. */
function isNamedIn(list: string, { schema, tag }: TocEntry): boolean {
  const plain = list.replaceAll('"', "");
  return `, ${plain},`.replace(/ FOR VALUES .*$/, ",").includes(
    `${schema}.${tag}`.replaceAll('"', ""),
  );
}

function keyOf(schema: string | undefined, tag: string): string {
  return JSON.stringify([schema ?? null, tag]);
}

/** The table that a sequence belongs to. */
export function tableOf(
  sequence: TocEntry,
  { byId, sequencesOf }: Ownership,
): TocEntry | undefined {
  return sequence.dependencies.flatMap((id) => byId.get(id) ?? [])
    .find((one) => sequencesOf(one).includes(sequence));
}
