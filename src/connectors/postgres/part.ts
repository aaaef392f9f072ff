import type { Abortable } from "../../core/bytes.ts";
import type { DatabaseInventory, InventoryObject } from "../../contracts/inventory.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import { typeOf } from "./archive/inventory.ts";
import type { Client } from "./client.ts";

/** The part of an archive that `--only` asks for. */
export interface Part {
  /** The dump ids to restore. */
  readonly ids: ReadonlySet<number>;
  /** The tables and views themselves. */
  readonly tables: readonly TocEntry[];
  /** What they need (schemas, types, functions), which may be there already. */
  readonly needed: readonly TocEntry[];
  /** Which of the names asked for are in the archive. */
  readonly found: ReadonlySet<string>;
  /** Every name that could be asked for, with its schema. */
  readonly known: readonly string[];
}

const tableKinds = ["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW"];

/** What belongs to a table and makes no sense without it. */
const belongings = [
  ...["TABLE DATA", "MATERIALIZED VIEW DATA", "TABLE ATTACH", "INDEX", "INDEX ATTACH"],
  ...["CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "DEFAULT", "TRIGGER", "RULE", "POLICY"],
  ...["ROW SECURITY", "STATISTICS", "STATISTICS DATA", "SEQUENCE", "SEQUENCE OWNED BY"],
  ...["SEQUENCE SET", "ACL", "COMMENT", "SECURITY LABEL"],
];

/** What a table may need and a target may have; never restored for its own sake. */
const foundations = ["SCHEMA", "EXTENSION", "TYPE", "DOMAIN", "SHELL TYPE", "FUNCTION", "SEQUENCE"];

/**
 * Chooses tables and views by name, `TABLE` or `SCHEMA.TABLE`, with all that belongs to them, and
 * what they need. A foreign key comes along only with the table that it points to.
 */
export function choosePart({ entries }: ArchiveHead, only: readonly string[]): Part {
  const named = entries.filter(({ description }) => tableKinds.includes(description));
  const dotted = ({ schema, tag }: TocEntry) => `${schema}.${tag}`;
  const found = new Set<string>();
  const tables = named.filter((entry) => {
    const hits = only.filter((name) => name === entry.tag || name === dotted(entry));
    hits.forEach((name) => found.add(name));
    return hits.length > 0;
  });
  const byId = new Map(entries.map((entry) => [entry.dumpId, entry]));
  const ids = new Set(tables.map(({ dumpId }) => dumpId));
  const needed = new Map<number, TocEntry>();
  const need = (entry: TocEntry) => {
    for (const id of entry.dependencies) {
      const one = byId.get(id);
      if (one === undefined || ids.has(id) || needed.has(id)) continue;
      if (!foundations.includes(one.description)) continue;
      needed.set(id, one);
      need(one);
    }
  };
  tables.forEach(need);
  for (const { schema } of tables) {
    const own = entries.find(({ description, tag }) => description === "SCHEMA" && tag === schema);
    if (own !== undefined) needed.set(own.dumpId, own);
  }
  // Belongings of belongings: an index's comment, a sequence's value.
  for (let before = -1; before !== ids.size;) {
    before = ids.size;
    for (const entry of entries) {
      if (ids.has(entry.dumpId) || !belongings.includes(entry.description)) continue;
      if (isBelonging(entry, ids, byId)) ids.add(entry.dumpId);
    }
  }
  // Data of tables has no dependency in archives of some versions; its name says whose it is.
  for (const entry of entries) {
    if (!entry.hasData && entry.description !== "MATERIALIZED VIEW DATA") continue;
    if (tables.some(({ schema, tag }) => schema === entry.schema && tag === entry.tag)) {
      if (entry.description !== "BLOBS") ids.add(entry.dumpId);
    }
  }
  // What triggers, indexes, policies and defaults call.
  for (const id of ids) need(byId.get(id)!);
  for (const id of ids) needed.delete(id);
  return { ids, tables, needed: [...needed.values()], found, known: named.map(dotted) };
}

function isBelonging(
  { description, dependencies, schema, tag }: TocEntry,
  ids: ReadonlySet<number>,
  byId: ReadonlyMap<number, TocEntry>,
): boolean {
  if (description === "SEQUENCE SET") {
    return [...ids].some((id) => {
      const one = byId.get(id)!;
      return one.description === "SEQUENCE" && one.schema === schema && one.tag === tag;
    });
  }
  const own = dependencies.filter((id) => ids.has(id));
  if (own.length === 0) return false;
  if (description !== "FK CONSTRAINT" && description !== "TABLE ATTACH") return true;
  // Both sides must be there: the key that it points to, or the parent that it joins.
  return dependencies.every((id) => ids.has(id) || !isTableLike(byId.get(id)));
}

function isTableLike(entry: TocEntry | undefined): boolean {
  return entry !== undefined &&
    ["TABLE", "CONSTRAINT", "INDEX"].includes(entry.description);
}

/** Which of a part's tables a database has, dotted. */
export async function presentObjects(
  client: Client,
  database: string,
  { tables }: Part,
  o: Abortable,
): Promise<string[]> {
  const rows = await client.rows(
    database,
    `SELECT n.nspname || '.' || c.relname AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')`,
    o,
  );
  const there = new Set(rows.map((row) => String(row["name"])));
  return tables.map(({ schema, tag }) => `${schema}.${tag}`).filter((name) => there.has(name));
}

/** The dump ids to restore into a database: a part's own, and what it needs that is not there. */
export async function idsFor(
  client: Client,
  database: string,
  { ids, needed }: Part,
  o: Abortable,
): Promise<Set<number>> {
  const rows = await client.rows(
    database,
    `SELECT 'SCHEMA' AS kind, NULL AS schema, nspname AS name FROM pg_catalog.pg_namespace
     UNION ALL SELECT 'EXTENSION', NULL, extname FROM pg_catalog.pg_extension
     UNION ALL SELECT 'TYPE', n.nspname, t.typname
       FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
     UNION ALL SELECT 'SEQUENCE', n.nspname, c.relname
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'S'
     UNION ALL SELECT 'FUNCTION', n.nspname, p.proname
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace`,
    o,
  );
  const key = (kind: string, schema: unknown, name: string) =>
    JSON.stringify([kind, schema ?? null, name]);
  const there = new Set(
    rows.map((row) => key(String(row["kind"]), row["schema"], String(row["name"]))),
  );
  const missing = needed.filter(({ description, schema, tag }) => {
    const kind = description === "DOMAIN" || description === "SHELL TYPE" ? "TYPE" : description;
    const name = kind === "FUNCTION" ? tag.replace(/\([\s\S]*$/, "") : tag;
    return !there.has(key(kind, schema, name));
  });
  return new Set([...ids, ...missing.map(({ dumpId }) => dumpId)]);
}

/** What a part holds of an inventory. */
export function partOf(
  inventory: DatabaseInventory,
  head: ArchiveHead,
  ids: ReadonlySet<number>,
): DatabaseInventory {
  const isIn = membership(head, ids);
  return { ...inventory, objects: inventory.objects.filter(isIn) };
}

/** An inventory without what a part holds of it. */
export function withoutPart(
  inventory: DatabaseInventory,
  head: ArchiveHead,
  ids: ReadonlySet<number>,
): DatabaseInventory {
  const isIn = membership(head, ids);
  return { ...inventory, objects: inventory.objects.filter((object) => !isIn(object)) };
}

function membership({ entries }: ArchiveHead, ids: ReadonlySet<number>) {
  const key = (type: string | undefined, schema: string | undefined, name: string) =>
    JSON.stringify([type, schema ?? null, name]);
  const chosen = new Set(
    entries.filter(({ dumpId }) => ids.has(dumpId))
      .map((entry) => key(typeOf(entry), entry.schema, entry.tag)),
  );
  return ({ type, schema, name }: InventoryObject) => chosen.has(key(type, schema, name));
}
