import { BackupError } from "../../core/errors.ts";
import { isIdentity, type Ownership, relationKinds, tableOf } from "./archive/ownership.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import { dictionaryOf, namedInBody, namedInTrigger } from "./bodies.ts";
import { matchName, sayableName } from "./part-names.ts";
import type { Present } from "./present.ts";
import { objectOf } from "./tool-failure.ts";

/** How far a choice of relations reaches. */
export interface Reach {
  /** The relations asked for, with their partitions, inheriting tables and own sequences. */
  readonly asked: ReadonlySet<TocEntry>;
  /** What is needed and not there, and for what. */
  readonly along: ReadonlyMap<TocEntry, TocEntry>;
  /** What is needed and there already. */
  readonly used: ReadonlySet<TocEntry>;
  /** Routines with the relations that their texts name, and that do not come along for it. */
  readonly mentioned: readonly (readonly [routine: TocEntry, relation: TocEntry])[];
  /** What does not come, as sentences. */
  readonly notes: readonly string[];
}

/** What asks for a routine without running it while rows are loaded. */
const callingLater = ["TRIGGER", "POLICY", "DEFAULT", "RULE"];

/** What runs, and is read for the names in its text. */
export const routineKinds = ["FUNCTION", "PROCEDURE", "AGGREGATE"];

/** What can be asked for by name: relations, and rows in tables that extensions make. */
export function nameable({ entries }: ArchiveHead, ownership: Ownership): TocEntry[] {
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
 * Follows the relations asked for to all that belongs to them and all that they need.
 *
 * @throws BackupError `restore/only-unsupported`
 */
export function reachOf(
  head: ArchiveHead,
  ownership: Ownership,
  only: readonly string[],
  present: Present,
): Reach {
  const { entries } = head;
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
      const table = tableOf(entry, ownership);
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
    const own = owner.description === "SEQUENCE" && !isIdentity(owner)
      ? tableOf(owner, ownership)
      : undefined;
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
    return owner.description === "SEQUENCE" && isIdentity(owner) &&
      tableOf(owner, ownership) === other &&
      isChosen(other);
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
    if (isIdentity(entry) && !wanted.includes(tableOf(entry, ownership)!)) {
      const table = sayableName(tableOf(entry, ownership)!);
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
  return { asked, along, used, mentioned, notes: [...notes] };
}

/** Made only where all that they are about is. */
export function isOfTwo({ description }: TocEntry): boolean {
  return [
    ...["FK CONSTRAINT", "TABLE ATTACH", "INDEX ATTACH", "PUBLICATION TABLE", "SEQUENCE OWNED BY"],
  ].includes(description);
}

/** What an entry that joins two objects is about. */
export function sidesOf(part: TocEntry, ownership: Ownership): TocEntry[] {
  const { byId, ownerOf, parentsOf } = ownership;
  if (part.description === "SEQUENCE OWNED BY") {
    return [tableOf(ownerOf(part), ownership) ?? []].flat();
  }
  // Their dependencies go further up.
  if (/^(TABLE|INDEX) ATTACH$/.test(part.description)) return [...parentsOf(ownerOf(part))];
  const sides = part.dependencies.flatMap((id) => byId.get(id) ?? []).map(ownerOf);
  return [...new Set(sides)].filter((one) =>
    relationKinds.includes(one.description) || one.description === "PUBLICATION"
  );
}
