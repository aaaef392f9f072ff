import { BackupError } from "../../core/errors.ts";
import type { Abortable } from "../../core/bytes.ts";
import { counted, listed } from "../../core/text.ts";
import type { RestoreOptions } from "../../contracts/restore.ts";
import type { Client } from "./client.ts";
import { listCollations } from "./collations.ts";
import { readNeed } from "./foreign.ts";
import type { Selection } from "./selection.ts";
import type { Server } from "./server.ts";
import { type Abroad, fateOf } from "./translate.ts";

/** What a restore onto the other flavour has to know of the target; undefined for the same one. */
export async function lookAbroad(
  client: Client,
  { backup }: Selection,
  server: Server,
  o: Abortable,
): Promise<Abroad | undefined> {
  if (backup.manifest.source.flavour === server.flavour) return undefined;
  return { server, collations: await listCollations(client, o) };
}

/**
 * MySQL and MariaDB have grown apart. Tells what comes over as something else, and refuses what
 * cannot come over, before anything is touched.
 *
 * @throws BackupError `restore/other-flavour`
 */
export function judgeAbroad(
  selection: Selection,
  abroad: Abroad,
  isReplacing: boolean,
  options: RestoreOptions,
): string[] {
  const { backup } = selection;
  const { server } = abroad;
  const { flavour, version } = backup.manifest.source;
  const what = `The backup is of ${flavour} ${version} and the target is ` +
    `${server.flavour} ${server.version}`;
  if (isReplacing) {
    throw new BackupError("restore/other-flavour", `${what}: nothing is replaced across flavours`, {
      hint: "Restore into a new database first, since it may fail halfway.",
    });
  }
  if (options.isWithAccounts && backup.artifacts.some(({ role }) => role === "accounts")) {
    throw new BackupError("restore/other-flavour", `${what}: they keep passwords differently`, {
      hint: "Restore without --accounts, and make the accounts by hand.",
    });
  }
  const { changes, refusals } = fatesOf(selection, abroad);
  const refused = refusals.map(({ need, objects }) => `${need} (${listed(objects, 5)})`).join(", ");
  if (refusals.length > 0 && !options.isKeepGoing) {
    throw new BackupError(
      "restore/other-flavour",
      `${what}, which cannot have what these objects need: ${refused}`,
      {
        hint: `Restore to ${flavour}, or everything else with --keep-going.`,
        details: { refusals },
      },
    );
  }
  return [
    `${what}: what only ${flavour} has makes the restore fail, unless it is told --keep-going`,
    ...refusals.length === 0 ? [] : [`These will not be made: ${refused}`],
    ...changes.map(({ need, says, objects }) =>
      `On ${server.flavour}, ${need} ${says}, in ${counted(objects.length, "object")}: ` +
      listed(objects, 5)
    ),
    ...changes.some(({ need }) => need.startsWith("collation "))
      ? [
        "Other collations sort and compare a little differently. Where values of a unique key are " +
        "equal to one and not to the other, the restore fails",
      ]
      : [],
  ];
}

interface Judged {
  readonly need: string;
  readonly says: string;
  /** `database.name` */
  readonly objects: string[];
}

function fatesOf({ databases }: Selection, abroad: Abroad) {
  const changes = new Map<string, Judged>();
  const refusals = new Map<string, Judged>();
  const note = (into: Map<string, Judged>, need: string, says: string, object: string) => {
    const judged = into.get(need) ?? { need, says, objects: [] };
    into.set(need, judged);
    judged.objects.push(object);
  };
  for (const { database, objects } of databases) {
    for (const { type, name, needs = [] } of objects) {
      const object = `${database}.${name}`;
      if (type === "sequence") note(refusals, "sequence", "", object);
      for (const need of needs) {
        const foreign = readNeed(need);
        if (foreign === undefined) continue;
        const fate = fateOf(foreign, abroad);
        if (fate.type === "refused") note(refusals, need, "", object);
        else if (fate.type === "changed" && fate.says !== undefined) {
          note(changes, need, fate.says, object);
        }
      }
    }
  }
  return { changes: [...changes.values()], refusals: [...refusals.values()] };
}
