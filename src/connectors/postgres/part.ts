import { BackupError } from "../../core/errors.ts";
import { typeOf } from "./archive/inventory.ts";
import {
  isIdentity,
  nameOfIndex,
  type Ownership,
  ownershipOf,
  relationKinds,
} from "./archive/ownership.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import { dictionaryOf, namedInBody, namedInTrigger } from "./bodies.ts";
import { assertNames, listed, matchName, sayableName } from "./part-names.ts";
import type { Present } from "./present.ts";
import { objectOf } from "./tool-failure.ts";

/** The part of an archive that `--only` asks for, for one database. */
export interface Part {
  /** The dump ids to restore. */
  readonly ids: ReadonlySet<number>;
  /** The relations asked for, with their partitions, inheriting tables and own sequences. */
  readonly asked: readonly TocEntry[];
  /** What is needed and not there, and for what. */
  readonly along: readonly { readonly entry: TocEntry; readonly for: TocEntry }[];
  /** What is needed and there already, and stays as it is. */
  readonly used: readonly TocEntry[];
  /** Foreign keys to tables that are there: made once all is loaded. */
  readonly late: readonly TocEntry[];
  /** `TABLE ATTACH` to partitioned tables that are there: after their partition's indexes. */
  readonly attachments: readonly TocEntry[];
  /** What is left out, or comes otherwise than in the backup, as sentences. */
  readonly notes: readonly string[];
}

/** What asks for a routine without running it while rows are loaded. */
const callingLater = ["TRIGGER", "POLICY", "DEFAULT", "RULE"];

const routineKinds = ["FUNCTION", "PROCEDURE", "AGGREGATE"];

/** What can be asked for by name: relations, and rows in tables that extensions make. */
function nameable({ entries }: ArchiveHead, ownership: Ownership): TocEntry[] {
  return entries.filter((entry) =>
    relationKinds.includes(entry.description) || isOfExtension(entry, ownership)
  );
}

/** Rows that an extension has dumped: nothing in the archive says whose they are. */
function isOfExtension(entry: TocEntry, { ownerOf, byId }: Ownership): boolean {
  return entry.description === "TABLE DATA" && ownerOf(entry) === entry &&
    [...byId.values()].some(({ description }) => description === "EXTENSION");
}

/**
 * Every name must mean one thing in one of the archives.
 *
 * @throws BackupError `restore/no-such-object`, `restore/ambiguous-object`
 */
export function assertOnly(heads: readonly ArchiveHead[], only: readonly string[]): void {
  assertNames(
    only,
    heads.map((head) => ({
      relations: nameable(head, ownershipOf(head)),
      others: head.entries.filter(({ description }) =>
        [...routineKinds, "TYPE", "DOMAIN"].includes(description)
      ),
    })),
  );
}

/** Whether one of the names is in an archive. */
export function isAnyIn(head: ArchiveHead, only: readonly string[]): boolean {
  const relations = nameable(head, ownershipOf(head));
  return only.some((name) => matchName(name, relations).entries.length > 0);
}

/**
 * Chooses relations by name with all that belongs to them, and all that they need and the database
 * does not have: types, functions, sequences, the tables that a view reads. Each comes whole, tables
 * with their rows; what is there stays as it is.
 *
 * @throws BackupError `restore/only-unsupported`
 */
export function choosePart(head: ArchiveHead, only: readonly string[], present: Present): Part {
  const { entries } = head;
  const ownership = ownershipOf(head);
  const { byId, ownerOf, partsOf, childrenOf, parentsOf, attachmentOf, sequencesOf } = ownership;
  const known = dictionaryOf(entries);
  const schemas = new Map(
    entries.filter(({ description }) => description === "SCHEMA").map((one) => [one.tag, one]),
  );
  const asked = new Set<TocEntry>();
  const along = new Map<TocEntry, TocEntry>();
  const used = new Set<TocEntry>();
  const running = new Set<TocEntry>();
  const notes = new Set<string>();
  const isChosen = (entry: TocEntry) => asked.has(entry) || along.has(entry);

  function ask(entry: TocEntry): void {
    if (asked.has(entry)) return;
    along.delete(entry);
    asked.add(entry);
    for (const child of childrenOf(entry)) ask(child);
    for (const sequence of sequencesOf(entry)) ask(sequence);
    follow(entry);
  }

  /** @param isRun whether a routine is called while rows are loaded */
  function need(entry: TocEntry, by: TocEntry, isRun: boolean, hasChildren: boolean): void {
    if (isIdentity(entry)) {
      const table = tableOf(entry);
      if (table !== undefined && table !== by) return need(table, by, isRun, hasChildren);
    }
    if (!isChosen(entry)) {
      if (present.has(entry)) {
        used.add(entry);
        return;
      }
      along.set(entry, by);
      for (const sequence of sequencesOf(entry)) along.set(sequence, by);
      follow(entry);
    }
    if (hasChildren) { for (const child of childrenOf(entry)) need(child, by, isRun, true); }
    read(entry, isRun);
  }

  /** Goes after what an object and its parts depend on. */
  function follow(owner: TocEntry): void {
    const schema = owner.schema === undefined ? undefined : schemas.get(owner.schema);
    if (schema !== undefined) need(schema, owner, false, false);
    const parents = parentsOf(owner);
    const isPartition = attachmentOf(owner) !== undefined;
    const own = owner.description === "SEQUENCE" && !isIdentity(owner) ? tableOf(owner) : undefined;
    for (const part of partsOf(owner)) {
      if (isOfTwo(part)) continue;
      const isRun = !callingLater.includes(part.description);
      for (const one of namedInTrigger(part, known)) need(one, owner, false, false);
      for (const id of part.dependencies) {
        const dependency = byId.get(id);
        if (dependency === undefined) continue;
        const other = ownerOf(dependency);
        // A sequence is one without the table that owns it, a partition without its parent.
        if (other === owner || other === own) continue;
        const isParent = parents.includes(other);
        if (isParent && isPartition) continue;
        if (isOfOwn(owner, other)) continue;
        need(other, owner, isRun, !isParent);
      }
    }
    for (const sequence of sequencesOf(owner)) follow(sequence);
  }

  function isOfOwn(owner: TocEntry, other: TocEntry): boolean {
    return owner.description === "SEQUENCE" && isIdentity(owner) && tableOf(owner) === other &&
      isChosen(other);
  }

  function tableOf(sequence: TocEntry): TocEntry | undefined {
    return sequence.dependencies.flatMap((id) => byId.get(id) ?? [])
      .find((one) => sequencesOf(one).includes(sequence));
  }

  /** Goes after what a routine's text names. */
  function read(routine: TocEntry, isRun: boolean): void {
    if (!routineKinds.includes(routine.description) || running.has(routine)) return;
    if (isRun) running.add(routine);
    const { small, relations } = namedInBody(routine, known);
    for (const one of small) {
      if (one !== routine && !reading.has(one)) {
        reading.add(routine);
        need(one, routine, isRun, true);
        reading.delete(routine);
      }
    }
    for (const one of relations) {
      if (isRun) need(one, routine, true, true);
      else mentioned.push([routine, one]);
    }
  }
  const reading = new Set<TocEntry>();
  const mentioned: [TocEntry, TocEntry][] = [];

  const relations = nameable(head, ownership);
  const wanted = only.flatMap((name) => matchName(name, relations).entries);
  const extensions = entries.filter(({ description }) => description === "EXTENSION");
  for (const entry of wanted) {
    const owner = ownerOf(entry);
    if (isOfExtension(entry, ownership)) {
      if (present.relationKind(entry.schema, entry.tag) !== undefined) {
        throw new BackupError(
          "restore/only-unsupported",
          `An extension makes ${sayableName(entry)}, and it is there already`,
          { hint: "Restore it to a new database, and copy the rows that are missing from there." },
        );
      }
      extensions.forEach((one) => need(one, entry, false, false));
    }
    if (isIdentity(entry) && !wanted.includes(tableOf(entry)!)) {
      const table = sayableName(tableOf(entry)!);
      throw new BackupError(
        "restore/only-unsupported",
        `The sequence ${sayableName(entry)} is an identity column of ${table}`,
        { hint: `Restore it with its table, --only ${table}, or set its value: ${valueOf(entry)}` },
      );
    }
    ask(owner);
  }

  function valueOf(sequence: TocEntry): string {
    const set = partsOf(sequence).find(({ description }) => description === "SEQUENCE SET");
    return set?.definition.trim() ?? "ALTER SEQUENCE … RESTART";
  }

  const ofExtensions = relations.filter((entry) => isOfExtension(entry, ownership));
  const made = extensions.filter((one) => along.has(one));
  for (const entry of ofExtensions) {
    if (asked.has(entry) || made.length === 0) continue;
    if (made.length === extensions.length) along.set(entry, made[0]!);
    else notes.add(`${objectOf(entry)}, which an extension makes, does not get the backup's rows`);
  }

  const lost = new Map<string, TocEntry[]>();
  const readers = new Map<string, TocEntry[]>();
  const group = (groups: Map<string, TocEntry[]>, key: string, entry: TocEntry) => {
    groups.set(key, [...groups.get(key) ?? [], entry]);
  };

  const chosen = [...asked, ...along.keys()];
  const ids = new Set<number>();
  const late: TocEntry[] = [];
  const attachments: TocEntry[] = [];
  const isThere = (entry: TocEntry) => !isChosen(entry) && present.has(entry);
  for (const owner of chosen) {
    for (const part of partsOf(owner)) {
      const others = sidesOf(part).filter((one) => one !== owner);
      if (!isOfTwo(part) || others.every(isChosen)) ids.add(part.dumpId);
      else if (part.description === "FK CONSTRAINT") {
        if (others.every((one) => isChosen(one) || isThere(one))) late.push(part);
        else {
          const missing = others.filter((one) => !isChosen(one) && !isThere(one)).map(sayableName);
          group(lost, missing.join(", "), part);
        }
      } else if (part.description === "TABLE ATTACH") {
        const [parent] = others;
        const name = `table ${sayableName(owner)}`;
        if (present.relationKind(parent!.schema, parent!.tag) === "p") {
          ids.add(part.dumpId);
          attachments.push(part);
          notes.add(`${name} becomes a partition of ${sayableName(parent!)}, which is there`);
        } else notes.add(`${name} is a table by itself, without ${sayableName(parent!)}`);
      } else if (part.description === "PUBLICATION TABLE") {
        const [publication] = others;
        // What is replaced stays in the publications that it is in.
        if (isThere(publication!) && !present.has(owner)) ids.add(part.dumpId);
        else if (!isThere(publication!)) {
          notes.add(`${objectOf(owner)} is in no publication ${publication!.tag}: it is not there`);
        }
      } else if (part.description === "SEQUENCE OWNED BY") {
        if (others.every(isThere)) ids.add(part.dumpId);
        else notes.add(`${objectOf(owner)} belongs to no table: its own does not come along`);
      }
    }
  }

  /** What an entry that joins two objects is about. */
  function sidesOf(part: TocEntry): TocEntry[] {
    if (part.description === "SEQUENCE OWNED BY") return [tableOf(ownerOf(part)) ?? []].flat();
    // Their dependencies go further up.
    if (/^(TABLE|INDEX) ATTACH$/.test(part.description)) return [...parentsOf(ownerOf(part))];
    const sides = part.dependencies.flatMap((id) => byId.get(id) ?? []).map(ownerOf);
    return [...new Set(sides)].filter((one) =>
      relationKinds.includes(one.description) || one.description === "PUBLICATION"
    );
  }

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
    if (!sidesOf(key).some((one) => asked.has(one))) continue;
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
  return {
    ids,
    asked: [...asked],
    along: [...along].filter(([entry]) => !asked.has(entry)).map(([entry, by]) => ({
      entry,
      for: by,
    })),
    used: [...used].filter((one) => !isChosen(one)),
    late,
    attachments,
    notes: [...notes],
  };
}

/** Made only where all that they are about is. */
function isOfTwo({ description }: TocEntry): boolean {
  return [
    ...["FK CONSTRAINT", "TABLE ATTACH", "INDEX ATTACH", "PUBLICATION TABLE", "SEQUENCE OWNED BY"],
  ].includes(description);
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

/** The names of relations and indexes that a part makes besides those that were asked for. */
export function namesMadeBy(
  { entries }: ArchiveHead,
  { ids, asked }: Part,
): { readonly schema: string | undefined; readonly name: string; readonly entry: TocEntry }[] {
  return entries.filter(({ dumpId }) => ids.has(dumpId)).flatMap((entry) => {
    if (asked.includes(entry)) return [];
    const name = relationKinds.includes(entry.description) ? entry.tag : nameOfIndex(entry);
    return name === undefined || typeOf(entry) === undefined
      ? []
      : [{ schema: entry.schema, name, entry }];
  });
}
