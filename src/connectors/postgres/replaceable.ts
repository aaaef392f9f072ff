import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { counted, shellQuote } from "../../core/text.ts";
import { relationKinds } from "./archive/ownership.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { listed, sayableName } from "./part-names.ts";
import { choosePart, type Part } from "./part.ts";
import type { Present } from "./present.ts";
import { readReplacement, type Replacement } from "./replacement.ts";

/**
 * Lets a replacement pass that takes nothing away but what it puts something in the place of.
 *
 * @throws BackupError `restore/depended-on`, `restore/only-unsupported`, `connection/denied`
 */
export async function assertReplaceable(
  client: Client,
  { to, head }: { readonly to: string; readonly head: ArchiveHead },
  { blockers, extensions, replaced, foreign }: Replacement,
  { part, only, present }: {
    readonly part: Part;
    readonly only: readonly string[];
    readonly present: Present;
  },
  o: Abortable,
): Promise<void> {
  const what = listed(replaced);
  if (extensions.length > 0) {
    throw new BackupError(
      "restore/only-unsupported",
      `${what} belongs to the extension ${extensions.join(", ")} in database "${to}"`,
      { hint: "Restore to another database, and copy the rows that are missing from there." },
    );
  }
  const [first] = foreign;
  if (first !== undefined) {
    throw new BackupError(
      "connection/denied",
      `This user may not replace ${what} in database "${to}": ${first.name} belongs to ` +
        `"${first.owner}"`,
      { hint: `Restore as "${first.owner}" or a superuser, or to another database.` },
    );
  }
  if (blockers.length === 0) return;
  const more = await dependentsToo(client, { to, head }, { blockers, only, present }, o);
  const value = part.asked.length === 1 ? valueOf(head, part.asked[0]!) : undefined;
  const ways = [
    ...more.length === 0
      ? []
      : [`Replace what depends on it, too: ${more.map((name) => `--only ${name}`).join(" ")}`],
    ...value === undefined ? [] : [`To give the sequence its value only: ${value}`],
    ...more.length > 0 ? [] : [
      "Drop what depends on it, and make that again after the restore; or restore to another " +
      "database, and copy the rows",
    ],
  ];
  throw new BackupError(
    "restore/depended-on",
    `Cannot replace ${what} in database "${to}": ${listed(blockers)} ${
      blockers.length === 1 ? "depends" : "depend"
    } on ${replaced.length === 1 ? "it" : "them"}`,
    { hint: `${ways.join(". ")}.`, details: { dependents: blockers } },
  );
}

/** The names by which all that depends on a part is replaced, too; none where that cannot be. */
async function dependentsToo(
  client: Client,
  { to, head }: { readonly to: string; readonly head: ArchiveHead },
  { blockers, only, present }: {
    readonly blockers: readonly string[];
    readonly only: readonly string[];
    readonly present: Present;
  },
  o: Abortable,
): Promise<string[]> {
  const more: string[] = [];
  for (let rest = blockers; rest.length > 0;) {
    const found = rest.flatMap((blocker) => {
      const entry = relationCalled(head, blocker);
      return entry === undefined ? [] : [sayableName(entry)];
    });
    // What is no relation, or not in the backup, has to go by other ways.
    if (found.length < rest.length) return [];
    more.push(...found);
    const part = choosePart(head, [...only, ...more], present);
    rest = (await readReplacement(client, to, part, o)).blockers;
  }
  return more.map(shellQuote);
}

/** The relation that the server calls `view public.v`. */
function relationCalled({ entries }: ArchiveHead, identity: string): TocEntry | undefined {
  const plain = identity.replaceAll('"', "");
  return entries.find(({ description, schema, tag }) =>
    relationKinds.includes(description) &&
    plain === `${description.toLowerCase()} ${schema}.${tag}`.replaceAll('"', "")
  );
}

/** The statement that sets a sequence, as the archive has it. */
function valueOf({ entries }: ArchiveHead, { description, dumpId }: TocEntry): string | undefined {
  if (description !== "SEQUENCE") return undefined;
  const set = entries.find((entry) =>
    entry.description === "SEQUENCE SET" && entry.dependencies.includes(dumpId)
  );
  return set?.definition.trim().replace(/;$/, "");
}

/** What will be lost, as a sentence. */
export function losesOf({ replaced, lost, foreignKeys }: Replacement, to: string): string {
  const are = replaced.length === 1 ? "is" : "are";
  return [
    `${listed(replaced)} in database "${to}" ${are} dropped and made again, in one transaction`,
    ...lost.length === 0 ? [] : [
      `${listed(lost)}, which the backup does not have, ${lost.length === 1 ? "goes" : "go"} too`,
    ],
    ...foreignKeys.length === 0 ? [] : [
      `${counted(foreignKeys.length, "foreign key")} of other tables ${
        foreignKeys.length === 1 ? "stays" : "stay"
      }: ${listed(foreignKeys.map(({ relation, name }) => `${relation} ${name}`))}`,
    ],
    "other tables stay as they are",
  ].join("; ");
}
