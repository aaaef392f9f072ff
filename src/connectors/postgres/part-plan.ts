import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { RestoredPart, RestoreOptions, RestoreStep } from "../../contracts/restore.ts";
import { type AddedEntry, entryOf, withEntries } from "./archive/added.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { sqlState } from "./failure.ts";
import { areOneTransaction } from "./load.ts";
import { quoteName } from "./names.ts";
import { listed, sayableName } from "./part-names.ts";
import { choosePart, namesMadeBy, type Part } from "./part.ts";
import { newDatabase, type Present, readPresent } from "./present.ts";
import { assertReplaceable, losesOf } from "./replaceable.ts";
import { readReplacement, type Replacement } from "./replacement.ts";
import type { SelectedDatabase } from "./selection.ts";
import type { Server } from "./server.ts";
import { objectOf } from "./tool-failure.ts";
import type { ToolSet } from "./tools.ts";
import { statementsOf } from "./archive/sql.ts";

/** A part of an archive, and what it takes to put it into one database. */
export interface SettledPart {
  readonly part: Part;
  /** Only where relations are replaced. */
  readonly replacement: Replacement | undefined;
}

/** Chooses the part that `--only` asks for, as the database has need of it. */
export async function settlePart(
  client: Client,
  database: string,
  { head, only, mode }: {
    readonly head: ArchiveHead;
    readonly only: readonly string[];
    readonly mode: RestoreStep["mode"];
  },
  o: Abortable,
): Promise<SettledPart> {
  const part = choosePart(head, only, await readPresent(client, database, o));
  const replacement = mode === "replace"
    ? await readReplacement(client, database, part, o)
    : undefined;
  return { part, replacement };
}

/** What a plan says of a part that goes to a new database. */
export function planNew(head: ArchiveHead, only: readonly string[]): RestoredPart {
  return describePart(choosePart(head, only, newDatabase));
}

/**
 * Plans a part for a database that is there.
 *
 * @throws BackupError `restore/not-empty`, `restore/depended-on`, `restore/only-unsupported`
 */
export async function planInto(
  client: Client,
  { from, to, head }: { readonly from: string; readonly to: string; readonly head: ArchiveHead },
  { server, tools }: { readonly server: Server; readonly tools: ToolSet },
  options: RestoreOptions,
  o: Abortable,
): Promise<RestoreStep> {
  const present = await readPresent(client, to, o);
  const part = choosePart(head, options.only, present);
  const there = part.asked.filter((entry) => present.has(entry));
  const isReplacing = there.length > 0;
  if (isReplacing && !options.isOverwrite) {
    // A table's own sequences go without saying.
    const tables = there.filter(({ description }) => description !== "SEQUENCE");
    const told = (tables.length > 0 ? tables : there).map(sayableName);
    throw new BackupError(
      "restore/not-empty",
      `Database "${to}" has ${listed(told)} already`,
      { hint: "Restore to another database, or pass --overwrite to replace them." },
    );
  }
  const replacement = isReplacing ? await readReplacement(client, to, part, o) : undefined;
  assertFree(inTheWay({ head, part, present, replacement }), to);
  if (replacement === undefined) {
    return { from, to, mode: "fill", part: describePart(part) };
  }
  await assertReplaceable(
    client,
    { to, head },
    replacement,
    { part, only: options.only, present },
    o,
  );
  if (options.isKeepGoing) {
    throw new BackupError(
      "restore/only-unsupported",
      `${
        listed(replacement.replaced)
      } cannot be replaced with --keep-going: what failed would be ` +
        "gone",
      { hint: "Leave --keep-going out, or restore to another database with it." },
    );
  }
  if (!areOneTransaction(tools, server.major)) {
    throw new BackupError(
      "restore/only-unsupported",
      `pg_restore ${tools.version} cannot replace ${listed(replacement.replaced)} in one ` +
        `transaction on PostgreSQL ${server.version}: it sets a parameter that this server does not ` +
        "know",
      {
        hint: `Install postgresql-client-${server.major}, if it made the backup; or drop them ` +
          "yourself and restore without --overwrite; or restore to another database.",
      },
    );
  }
  return {
    from,
    to,
    mode: "replace",
    loses: losesOf(replacement, to),
    part: describePart(part),
  };
}

/** The archive with the statements that put its part in the place of what is there. */
export function arrange(
  head: ArchiveHead,
  source: SelectedDatabase,
  { part, replacement }: SettledPart,
): { head: ArchiveHead; source: SelectedDatabase; ids: ReadonlySet<number> } {
  let next = Math.max(0, ...head.entries.map(({ dumpId }) => dumpId)) + 1;
  const number = (entry: Omit<AddedEntry, "dumpId">): AddedEntry => ({ ...entry, dumpId: next++ });
  const first = replacement === undefined ? [] : [number({
    description: "DROP",
    schema: undefined,
    tag: replacement.replaced.join(", "),
    definition: `${replacement.drops.join(";\n")};\n`,
  })];
  const last = (replacement?.restores ?? []).map(number);
  const isLate = (entry: TocEntry) => part.attachments.includes(entry);
  return {
    head: {
      ...head,
      // The list that pg_restore goes by is in this order.
      entries: [
        ...first.map(entryOf),
        ...head.entries.filter((entry) => !isLate(entry)),
        // Also where what stands on rows is restored apart.
        ...head.entries.filter(isLate).map((entry) => ({
          ...entry,
          section: "post-data" as const,
        })),
        ...last.map(entryOf),
      ],
    },
    source: { ...source, artifact: withEntries(source.artifact, [...first, ...last]) },
    ids: new Set([...part.ids, ...[...first, ...last].map(({ dumpId }) => dumpId)]),
  };
}

/**
 * Makes the foreign keys between what was restored and what was there, once all is loaded. Where rows
 * do not fulfil one, it holds for new rows only.
 *
 * @returns warnings
 */
export async function finishPart(
  client: Client,
  database: string,
  { part, replacement }: SettledPart,
  o: Abortable,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const entry of part.late) {
    const [statement = ""] = statementsOf(entry.definition);
    const made = await tried(client, database, statement, o);
    if (made === undefined) continue;
    const isUnchecked = await tried(client, database, `${statement} NOT VALID`, o) === undefined;
    warnings.push(
      isUnchecked
        ? `${
          objectOf(entry)
        } does not hold for all rows (${made}): it is NOT VALID, and holds for ` +
          "new rows only"
        : `${objectOf(entry)} is left out: ${made}`,
    );
  }
  for (const { relation, name, isToValidate } of replacement?.foreignKeys ?? []) {
    if (!isToValidate) continue;
    const statement = `ALTER TABLE ${relation} VALIDATE CONSTRAINT ${quoteName(name)}`;
    const made = await tried(client, database, statement, o);
    if (made === undefined) continue;
    warnings.push(
      `The foreign key ${name} of ${relation} no longer holds for all rows (${made}): it is NOT ` +
        `VALID, and holds for new rows only. Once they fulfil it: ${statement}`,
    );
  }
  return warnings;
}

/** @returns the server's words where it refuses */
async function tried(
  client: Client,
  database: string,
  statement: string,
  o: Abortable,
): Promise<string | undefined> {
  try {
    await client.rows(database, `SET default_transaction_read_only = off;\n${statement}`, o);
    return undefined;
  } catch (error) {
    o.signal.throwIfAborted();
    if (sqlState(error) === undefined || !(error instanceof Error)) throw error;
    const detail = "detail" in error && typeof error.detail === "string" ? `: ${error.detail}` : "";
    return `${error.message}${detail}`.replace(/\.$/, "");
  }
}

interface Way {
  readonly head: ArchiveHead;
  readonly part: Part;
  readonly present: Present;
  readonly replacement: Replacement | undefined;
}

/** The names that the part would make and that others have. */
function inTheWay({ head, part, present, replacement }: Way): string[] {
  const taken = namesMadeBy(head, part).filter(({ schema, name }) =>
    present.relationKind(schema, name) !== undefined
  );
  // Those of what is replaced are gone by then.
  return taken.filter(({ schema, name }) =>
    replacement?.going.has(JSON.stringify([schema ?? null, name])) !== true
  ).map(({ entry }) => objectOf(entry));
}

function assertFree(taken: readonly string[], to: string): void {
  if (taken.length === 0) return;
  throw new BackupError(
    "restore/not-empty",
    `Database "${to}" has something called like ${listed(taken)} already`,
    { hint: "Rename or drop it there, or restore to another database." },
  );
}

function describePart({ asked, along, used, notes }: Part): RestoredPart {
  return {
    asked: asked.map(objectOf),
    along: along.map(({ entry, for: by }) => `${objectOf(entry)} (for ${objectOf(by)})`),
    used: used.filter(({ description }) => description !== "SCHEMA").map(objectOf),
    notes,
  };
}
