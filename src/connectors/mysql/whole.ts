import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { MysqlAddress } from "./address.ts";
import type { Client } from "./client.ts";
import { listDatabases, type Program, type Relation } from "./databases.ts";
import { leftOut } from "./dump-args.ts";
import type { DumpContext } from "./dump-context.ts";
import { look } from "./inspect.ts";
import type { Sight } from "./omissions.ts";

/**
 * The tools exit 0 after some of their errors, so what was there before and after must be inside.
 *
 * @throws BackupError `dump/failed`
 */
export async function assertWhole(
  dumped: readonly DatabaseInventory[],
  { client, address, server, tool, sight: before, omitted, settings, ...o }: DumpContext,
): Promise<void> {
  // Arguments of one's own may leave out anything.
  if ((settings.dumpArgs ?? []).length > 0) return;
  const after = objectsOf(await look(client, server, address, settings, o));
  const inside = new Set(
    dumped.flatMap(({ database, objects }) =>
      objects.map(({ type, name }) => JSON.stringify([database, type, name]))
    ),
  );
  const skipped = new Set(leftOut(server, before).map(keyOf));
  // A table that is left out takes its triggers along, and they do not say whose they are here.
  const hasTriggers = skipped.size === 0;
  const isAccepted = (type: string) => omitted.some(({ name }) => name === `${type}s`);
  const lost = [...objectsOf(before)].filter(([key, { type }]) =>
    !inside.has(key) && !skipped.has(key) && after.has(key) && !isAccepted(type) &&
    (type !== "trigger" || hasTriggers)
  );
  if (lost.length === 0) return;
  const [, { type, database, name }] = lost[0]!;
  throw new BackupError(
    "dump/failed",
    `${tool.name} left out ${counted(lost.length, "object")}, first ${type} "${database}.${name}"`,
    {
      details: { lost: lost.map(([key]) => key) },
      hint: "Its whole output is in the log at --log-level debug.",
    },
  );
}

function objectsOf({ relations, programs }: Sight): Map<string, Relation | Program> {
  return new Map([...relations, ...programs].map((object) => [keyOf(object), object]));
}

function keyOf({ database, type, name }: Relation | Program): string {
  return JSON.stringify([database, type, name]);
}

/** A database made after the dump began is in the next backup, and worth a word in this one. */
export async function newDatabases(
  client: Client,
  address: MysqlAddress,
  dumped: readonly string[],
  o: Abortable,
): Promise<string[]> {
  if (address.selected !== undefined) return [];
  const now = await listDatabases(client, address, o);
  return now.filter((name) => !dumped.includes(name)).map((name) =>
    `Database "${name}" was made while the dump ran and is not in it`
  );
}
