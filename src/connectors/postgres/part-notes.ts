import { type Ownership, relationKinds } from "./archive/ownership.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import { listed, sayableName } from "./part-names.ts";
import { type Reach, sidesOf } from "./part-reach.ts";
import type { Present } from "./present.ts";
import { objectOf } from "./tool-failure.ts";

/** What people are told of a part, besides what is in it: what it leaves out or comes otherwise. */
export function notesOf(
  { entries }: ArchiveHead,
  ownership: Ownership,
  { asked, along, used, mentioned, lost }: Reach & {
    /** Foreign keys that are left out, by the names of the tables that they lack. */
    readonly lost: Groups;
  },
  present: Present,
): Set<string> {
  const { ownerOf, partsOf } = ownership;
  const notes = new Set<string>();
  const readers: Groups = new Map();
  const isChosen = (entry: TocEntry) => asked.has(entry) || along.has(entry);
  const chosen = [...asked, ...along.keys()];

  const absent = new Map<string, TocEntry[]>();
  for (const [routine, one] of mentioned) {
    if (isChosen(one) || present.has(one) || absent.get(objectOf(routine))?.includes(one)) continue;
    group(absent, objectOf(routine), one);
  }
  for (const [routine, tables] of absent) {
    notes.add(
      `${routine} names ${listed(tables.map(sayableName))}, which ${
        tables.length === 1 ? "does" : "do"
      } not come along`,
    );
  }
  const isFilled = ({ description }: TocEntry) => description === "MATERIALIZED VIEW DATA";
  for (const view of chosen.filter(({ description }) => description === "MATERIALIZED VIEW")) {
    if (!partsOf(view).some(isFilled)) continue;
    const own = relationsUnder(view, ownership).filter((one) => used.has(one));
    if (own.length === 0) continue;
    notes.add(
      `${objectOf(view)} is filled from ${own.map(sayableName).join(", ")} as it is there ` +
        "now, not as in the backup",
    );
  }
  for (const view of entries.filter(({ description }) => /VIEW$/.test(description))) {
    if (isChosen(view) || present.has(view)) continue;
    const read = relationsUnder(view, ownership).filter((one) => asked.has(one));
    if (read.length === 0) continue;
    group(readers, sayableName(read[0]!), view);
  }
  for (const [missing, keys] of lost) {
    notes.add(
      `${listed(keys.map(objectOf))} ${keys.length === 1 ? "is" : "are"} left out: ` +
        `${missing} does not come along`,
    );
  }
  for (const [table, views] of readers) {
    const [read, are] = views.length === 1 ? ["reads", "is"] : ["read", "are"];
    notes.add(`${listed(views.map(objectOf))} ${read} ${table}, and ${are} left out`);
  }
  for (const key of entries.filter(({ description }) => description === "FK CONSTRAINT")) {
    const table = ownerOf(key);
    if (isChosen(table) || !present.has(table) || present.has(key)) continue;
    if (!sidesOf(key, ownership).some((one) => asked.has(one))) continue;
    notes.add(`${objectOf(key)}, which the backup has, is not there, and is left out`);
  }
  if (entries.some(({ description }) => /^BLOB/.test(description))) {
    for (const owner of chosen) {
      if (owner.description !== "TABLE" || !/ (oid|(\S+\.)?lo)(,| |$)/m.test(owner.definition)) {
        continue;
      }
      notes.add(`${objectOf(owner)} may point to large objects, which do not come along`);
    }
  }
  return notes;
}

/** Entries by what is said of them together. */
export type Groups = Map<string, TocEntry[]>;

/** Adds an entry to a group. */
export function group(groups: Groups, key: string, entry: TocEntry): void {
  groups.set(key, [...groups.get(key) ?? [], entry]);
}

/** The relations that a view reads, also through other views. */
function relationsUnder(view: TocEntry, { byId, ownerOf, partsOf }: Ownership): TocEntry[] {
  const seen = new Set<TocEntry>([view]);
  for (const one of seen) {
    const parts = /VIEW$/.test(one.description) ? partsOf(one) : [];
    for (const id of parts.flatMap(({ dependencies }) => dependencies)) {
      const dependency = byId.get(id);
      if (dependency === undefined) continue;
      const owner = ownerOf(dependency);
      if (relationKinds.includes(owner.description)) seen.add(owner);
    }
  }
  seen.delete(view);
  return [...seen];
}
