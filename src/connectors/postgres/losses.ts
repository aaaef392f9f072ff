import type { Abortable } from "../../core/bytes.ts";
import { shellQuote } from "../../core/text.ts";
import type { DumpSettings } from "../../contracts/source.ts";
import type { Manifest, Omission } from "../../contracts/manifest.ts";
import { majorOf } from "./archive/head.ts";
import { plainName, tokensOf } from "./archive/sql.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { areChoosing } from "./dump-args.ts";
import {
  type Dependent,
  type LostIdentity,
  type Missing,
  readDependents,
  readLostIdentities,
  readMissingPartitions,
} from "./dependents.ts";
import { archived, lostWith, worthTelling } from "./lost.ts";
import { patternFor } from "./names.ts";
import { objectOf } from "./tool-failure.ts";

/** The omission of rows that are in an archive and cannot be restored. */
export const dependentTables = "dependent-tables";

const mostShown = 20;

/** What a restore of an archive will leave out. */
export interface Losses {
  readonly omissions: readonly Omission[];
  readonly warnings: readonly string[];
}

/** Whether a dump may lack something that others need: with everything in it, nothing does. */
export function isPartial(settings: DumpSettings, omissionArgs: readonly string[]): boolean {
  return [settings.exclude, omissionArgs].some((one) => one?.length) ||
    areChoosing(settings.dumpArgs ?? []);
}

/** Whether a backup lacks something of its databases: what the job left out, or had to. */
export function isPartialBackup({ settings, omitted }: Pick<Manifest, "settings" | "omitted">) {
  const { exclude, excludeData, dumpArgs = [] } = settings;
  return [exclude, excludeData].some((one) => one?.length) || areChoosing(dumpArgs) ||
    omitted.some(({ name }) => name === "tables" || name === dependentTables);
}

/** The tables that are not dumped because this user may not read them. */
export function unreadableOf(omissions: readonly Omission[]): readonly string[] {
  return omissions.filter(({ name }) => name === "tables").flatMap(({ objects }) => objects ?? []);
}

/**
 * Looks at what an archive lacks, in the database that it is of.
 *
 * @throws PostgresError
 */
export async function readLosses(
  client: Client,
  database: string,
  head: ArchiveHead,
  { major, unreadable }: {
    readonly major: number;
    /** Tables, dotted, that are not in it because this user may not read them. */
    readonly unreadable: readonly string[];
  },
  o: Abortable,
): Promise<Losses> {
  const dependents = await readDependents(client, database, head, { major }, o);
  const identities = await readLostIdentities(client, database, head, o);
  const partitions = await readMissingPartitions(client, database, head, o);
  const losses = lossesOf(database, head, dependents, identities, unreadable);
  const notes = partitions.map(({ table, partitions }) =>
    `In "${database}", rows of the partitioned table ${table} are left out with its partitions: ` +
    shown(partitions)
  );
  return { ...losses, warnings: [...losses.warnings, ...notes] };
}

/**
 * Tells what a restore will leave out because it needs what the job leaves out. What loses only itself
 * is a warning; tables that cannot be restored with their rows are an omission.
 */
function lossesOf(
  database: string,
  head: ArchiveHead,
  dependents: readonly Dependent[],
  identities: readonly LostIdentity[],
  unreadable: readonly string[],
): Losses {
  const { users, hasRows } = archived(head.entries);
  const warnings: string[] = [];
  const unrestorable: Unrestorable[] = [];
  const told = new Set<TocEntry>();
  const byMissing = Map.groupBy(dependents, ({ missing }) => nameFor(missing));
  for (const group of byMissing.values()) {
    const { missing } = group[0]!;
    const isUnreadable = unreadable.includes(missing.name.replaceAll('"', ""));
    const made = group.filter((one) => isMadeWithout(one));
    warnings.push(...made.map((one) => `In "${database}", ${madeText(one)}`));
    const roots = group.filter((one) => !made.includes(one)).map(({ entry }) => entry);
    const lost = lostWith(roots, { users });
    const tables = [...lost].filter((one) => one.description === "TABLE" && hasRows(one));
    if (tables.length > 0) {
      unrestorable.push({
        tables: tables.map(nameOf),
        missing: nameFor(missing),
        why: isUnreadable ? "which this user may not read" : "left out here",
        cure: isUnreadable ? `Grant the right to read ${missing.name}.` : cureOf(missing, head),
      });
    }
    const others = worthTelling(lost).filter((one) => !tables.includes(one) && !told.has(one));
    others.forEach((one) => told.add(one));
    if (others.length === 0) continue;
    warnings.push(
      `In "${database}", ${nameFor(missing)} is left out, and so a restore leaves out what needs ` +
        `it: ${shown(others.map(objectOf))}`,
    );
  }
  for (const { table, through } of loadedThroughOthers(head.entries)) {
    unrestorable.push({
      tables: [table],
      missing: `table ${through}`,
      why: "left out here, and they are loaded through it",
      cure: "Do without --load-via-partition-root.",
    });
  }
  for (const { table, column } of identities) {
    warnings.push(
      `In "${database}", the sequence of the identity column ${table}.${column} is left out, and so ` +
        "a restore makes it a plain column",
    );
  }
  return {
    warnings,
    omissions: unrestorable.length === 0 ? [] : [omitted(database, unrestorable)],
  };
}

/** Tables whose rows cannot be restored for one reason. */
interface Unrestorable {
  readonly tables: readonly string[];
  /** What they lack. */
  readonly missing: string;
  readonly why: string;
  /** What to do about it, as a sentence. */
  readonly cure: string;
}

function omitted(database: string, unrestorable: readonly Unrestorable[]): Omission {
  const parts = Map.groupBy(unrestorable, ({ why, cure }) => `${why} ${cure}`).values().map(
    (alike) =>
      `the rows of ${shown(alike.flatMap(({ tables }) => tables))} cannot be restored without ` +
      `${shown(alike.map(({ missing }) => missing))}, ${alike[0]!.why}`,
  );
  return {
    name: dependentTables,
    reason: `in "${database}", ${[...parts].join("; ")}`,
    objects: [...new Set(unrestorable.flatMap(({ tables }) => tables))],
    hint: [...new Set(unrestorable.map(({ cure }) => cure))].join(" ") +
      " Or leave those tables out, too (--exclude).",
  };
}

/** Tables whose rows are loaded through a partitioned table that an archive lacks. */
function loadedThroughOthers(entries: readonly TocEntry[]) {
  const tables = new Set(
    entries.filter(({ description }) => description === "TABLE").map(nameOf),
  );
  return entries.flatMap((entry) => {
    const [, written = ""] = /^COPY ((?:"(?:[^"]|"")*"|[^ "])+) /.exec(entry.copyStatement ?? "") ??
      [];
    const through = tokensOf(written).filter(({ source }) => source !== ".")
      .map(({ source }) => plainName(source)).join(".");
    const isOther = through !== "" && through !== nameOf(entry) && !tables.has(through);
    return isOther ? [{ table: nameOf(entry), through }] : [];
  });
}

/** A sequence that a default needs is made by the restore, a partition is a table by itself. */
function isMadeWithout({ how, missing }: Dependent): boolean {
  return how === "partition" || how === "default" && missing.kind === "sequence";
}

function madeText({ entry, missing, how }: Dependent): string {
  return how === "partition"
    ? `${nameFor(missing)} is left out, and so a restore makes its partition ${nameOf(entry)} a ` +
      "table of its own, without the foreign keys, triggers and checks that it has from there"
    : `${nameFor(missing)} is left out and a default of ${
      nameOf(entry)
    } needs it: a restore makes ` +
      "it anew, to go on after the column's largest value";
}

function nameFor({ kind, name, extension }: Missing): string {
  return extension === undefined ? `${kind} ${name}` : `the extension ${extension}`;
}

/** What to do about a table whose rows would be lost. */
function cureOf({ kind, name, schema, extension }: Missing, { header }: ArchiveHead): string {
  if (extension !== undefined) {
    return majorOf(header.toolVersion) >= 14
      ? `Add ${shellQuote(`--dump-arg=--extension=${patternFor(extension)}`)}.`
      : "Exclude what is not wanted, instead of choosing what is.";
  }
  if (["table", "foreign table", "view", "materialized view"].includes(kind)) {
    return `Leave only the rows of ${name} out (--exclude-data).`;
  }
  return schema === undefined
    ? `Keep ${kind} ${name}.`
    // Quoted as SQL does, it is a pattern, too.
    : `Choose whole schemas, ${schema} among them (${
      shellQuote(`--dump-arg=--schema=${schema}`)
    }), and no single tables.`;
}

function nameOf({ schema, tag }: TocEntry): string {
  return schema === undefined ? tag : `${schema}.${tag}`;
}

function shown(names: readonly string[]): string {
  const all = [...new Set(names)];
  return all.length > mostShown
    ? `${all.slice(0, mostShown).join(", ")}, and ${all.length - mostShown} more`
    : all.join(", ");
}
