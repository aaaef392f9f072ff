import { type Abortable, type Bytes, bytesOf } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { DumpPlan, DumpResult, Emit } from "../../contracts/dump.ts";
import type { DumpSettings } from "../../contracts/source.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { Omission } from "../../contracts/manifest.ts";
import { accountsFormat, readAccounts } from "./accounts.ts";
import type { MysqlAddress } from "./address.ts";
import { beginBase } from "./binlog/base.ts";
import { dumpIncrement } from "./binlog/increment.ts";
import type { Client } from "./client.ts";
import { askSchema } from "./databases.ts";
import { dumpArgs, emptied, hasIgnoreData } from "./dump-args.ts";
import type { DumpContext } from "./dump-context.ts";
import { createEnds } from "./dump-ends.ts";
import { withDumpOutput } from "./dump-output.ts";
import { addEvents, hasEndless, readEvents } from "./events.ts";
import { createFloatReader, type FloatReader, listFloats } from "./floats.ts";
import { look, orphanWarnings } from "./inspect.ts";
import { omissionsOf, roundedFloats, type Sight } from "./omissions.ts";
import { orderViews } from "./order-views.ts";
import { positionFromDump } from "./position.ts";
import { rewriteDump } from "./rewrite.ts";
import { keepDates, keepOldKeys } from "./settings.ts";
import { readServer, type Server } from "./server.ts";
import { type ClientTool, requireTool } from "./tools.ts";
import { dumpFormat } from "./walker.ts";
import { assertWhole, newDatabases } from "./whole.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** What is dumped. */
export interface DumpRequest {
  readonly client: Client;
  readonly address: MysqlAddress;
  readonly plan: DumpPlan;
}

/**
 * Dumps with mysqldump or mariadb-dump: all databases meant are one dump at one position. Users and
 * grants become an artifact of their own. What builds on another backup is the binary log since.
 */
export async function dump(
  { client, address, plan }: DumpRequest,
  emit: Emit,
  o: Context,
): Promise<DumpResult> {
  if (plan.kind !== "full") return await dumpIncrement({ client, address, plan }, emit, o);
  const server = await readServer(client, o);
  if (plan.isBase !== true) return await dumpFull({ client, address, plan, server }, emit, o);
  const base = await beginBase({ client, address, server, settings: plan.settings }, o);
  try {
    const { onSnapshot } = base;
    const full = await dumpFull({ client, address, plan, server, onSnapshot }, emit, o);
    const { warnings, ...based } = await base.end(full.to);
    return { ...full, ...based, warnings: [...full.warnings, ...warnings] };
  } finally {
    base.release();
  }
}

async function dumpFull(
  { client, address, plan, server, onSnapshot }: DumpRequest & {
    readonly server: Server;
    /** See DumpCommand. */
    readonly onSnapshot?: (() => Promise<void>) | undefined;
  },
  emit: Emit,
  o: Context,
): Promise<DumpResult> {
  const tool = await requireTool("dump", server, address, o);
  const sight = await look(client, server, address, plan.settings, o);
  const { databases } = sight;
  await assertTool(client, server, tool, databases, o);
  const omitted = omissionsOf(server, address, sight);
  const warnings = orphanWarnings(sight);
  const inventories: DatabaseInventory[] = [];
  const ends = createEnds();
  let consistentAt = o.runtime.now();

  if (databases.length === 0) {
    warnings.push("The server has no databases but its own");
  } else {
    const args = dumpArgs(server, tool, sight, omitted, plan.settings);
    const isEncrypted = await client.isEncrypted(o);
    const command = { tool, address, isEncrypted, args, stallMs: plan.stallMs, onSnapshot };
    const floats = await floatTables(client, sight, plan.settings, o);
    const reader = floats.length === 0 ? undefined : createFloatReader(floats, server);
    const head = {
      role: "dump",
      databases,
      format: dumpFormat.id,
      slug: address.selected === undefined ? "all" : databases.join("-"),
    } as const;
    // The first bytes come after the snapshot was taken.
    const onFirst = () => consistentAt = o.runtime.now();
    const { databases: seen } = await withDumpOutput(command, reader, (output) => {
      const bytes = ends.watch(output, onFirst);
      const kept = keepOldKeys(keepDates(withoutRows(bytes, tool, sight, plan.settings)));
      const ordered = sight.hasCheckedViews ? orderViews(kept) : kept;
      const addsEvents = hasEndless(sight.programs) &&
        !omitted.some(({ name }) => name === "events") &&
        plan.settings.dumpArgs?.includes("--skip-events") !== true;
      return emit(
        head,
        addsEvents ? addEvents(ordered, () => readEvents(client, sight.programs, o)) : ordered,
      );
    }, o);
    inventories.push(...seen);
    const d = { ...o, client, address, server, tool, sight, settings: plan.settings, omitted };
    omitted.push(...await lostDigits(reader, seen, d));
    await assertWhole(seen, d);
    warnings.push(...await newDatabases(client, address, databases, o));
  }

  if (sight.hasAccounts) {
    const head = {
      role: "accounts",
      databases: [],
      format: accountsFormat.id,
      slug: "accounts",
    } as const;
    const accounts = await readAccounts(client, server, o);
    warnings.push(...accounts.warnings);
    await emit(head, bytesOf(accounts.sql));
  } else if (address.selected !== undefined) {
    warnings.push("Users and grants are not in the backup: this user may not read them");
  }
  const to = positionFromDump(...ends.texts());
  return {
    ...to === undefined ? {} : { to },
    consistentAt,
    inventory: { databases: inventories },
    omitted,
    warnings,
  };
}

/** What of FLOAT the tool has to be helped with. */
async function floatTables(client: Client, sight: Sight, settings: DumpSettings, o: Abortable) {
  if (settings.schemaOnly === true) return [];
  const rowless = emptied(sight, settings);
  const dumped = sight.relations.filter((relation) => !rowless.includes(relation));
  return await listFloats(client, sight.databases, dumped, o);
}

/** What of FLOAT is in the dump as the tool itself writes it, with 6 digits. */
async function lostDigits(
  reader: FloatReader | undefined,
  dumped: readonly DatabaseInventory[],
  { client, sight, settings, ...o }: DumpContext,
): Promise<Omission[]> {
  const filled = new Set(
    dumped.flatMap(({ database, objects }) =>
      objects.filter(({ type, count }) => type === "table" && count !== 0)
        .map(({ name }) => JSON.stringify([database, name]))
    ),
  );
  // Asked again: a column may have become a FLOAT meanwhile.
  const tables = (await floatTables(client, sight, settings, o)).filter(({ database, name }) =>
    filled.has(JSON.stringify([database, name]))
  );
  const missed = reader === undefined
    ? createFloatReader([], await readServer(client, o)).missed(tables)
    : reader.missed(tables);
  return roundedFloats(missed);
}

/**
 * MariaDB's tool writes the values of generated columns, which MySQL takes back from nobody.
 *
 * @throws BackupError `dump/tool-foreign`
 */
async function assertTool(
  client: Client,
  server: Server,
  tool: ClientTool,
  databases: readonly string[],
  o: Abortable,
): Promise<void> {
  if (server.flavour !== "MySQL" || tool.flavour !== "MariaDB") return;
  const [column] = await askSchema(
    client,
    "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name, COLUMN_NAME AS col " +
      "FROM information_schema.COLUMNS WHERE GENERATION_EXPRESSION <> '' AND TABLE_SCHEMA",
    databases,
    o,
  );
  if (column === undefined) return;
  const name = [column["db"], column["name"], column["col"]].join(".");
  throw new BackupError(
    "dump/tool-foreign",
    `${tool.path} is MariaDB's, and its dump of the generated column "${name}" cannot be restored ` +
      "to MySQL",
    { hint: "Install MySQL's own client, or name its folder with toolsDir." },
  );
}

function withoutRows(bytes: Bytes, tool: ClientTool, sight: Sight, settings: DumpSettings): Bytes {
  const tables = hasIgnoreData(tool) ? [] : emptied(sight, settings);
  if (tables.length === 0) return bytes;
  const names = new Set(tables.map(({ database, name }) => JSON.stringify([database, name])));
  return rewriteDump(bytes, {
    rename: (database) => database,
    keeps: () => true,
    keepsRows: (database, table) => !names.has(JSON.stringify([database, table])),
    keepsServerLines: true,
  });
}
