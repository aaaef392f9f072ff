import { typeOf } from "./archive/inventory.ts";
import { nameOfIndex, ownershipOf, relationKinds } from "./archive/ownership.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import { assertNames, matchName, sayableName } from "./part-names.ts";
import { group, type Groups, notesOf } from "./part-notes.ts";
import { isOfTwo, nameable, reachOf, routineKinds, sidesOf } from "./part-reach.ts";
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
  const ownership = ownershipOf(head);
  const { partsOf } = ownership;
  const reach = reachOf(head, ownership, only, present);
  const { asked, along, used } = reach;
  const notes = new Set(reach.notes);
  const isChosen = (entry: TocEntry) => asked.has(entry) || along.has(entry);
  const lost: Groups = new Map();
  const chosen = [...asked, ...along.keys()];
  const ids = new Set<number>();
  const late: TocEntry[] = [];
  const attachments: TocEntry[] = [];
  const isThere = (entry: TocEntry) => !isChosen(entry) && present.has(entry);
  for (const owner of chosen) {
    for (const part of partsOf(owner)) {
      const others = sidesOf(part, ownership).filter((one) => one !== owner);
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
    notes: [...notes, ...notesOf(head, ownership, { ...reach, lost }, present)],
  };
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
