import { Buffer } from "node:buffer";
import { type Abortable, type Bytes, bytesOf } from "../../core/bytes.ts";
import { ChildError, childOutput, type ChildSpec } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { DumpPlan, DumpResult, DumpSettings, Emit } from "../../contracts/connector.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { Omission } from "../../contracts/manifest.ts";
import { accountsFormat, readAccounts } from "./accounts.ts";
import type { MysqlAddress } from "./address.ts";
import type { Client } from "./client.ts";
import { askSchema, listDatabases, type Program, type Relation } from "./databases.ts";
import { look, lookClosely, orphanWarnings } from "./inspect.ts";
import {
  closedRoutines,
  omissionsOf,
  type Sight,
  tablesWithoutSelect,
  viewsWithoutShow,
} from "./omissions.ts";
import { orderViews } from "./order-views.ts";
import { matching } from "./patterns.ts";
import { positionArgs, positionFromDump } from "./position.ts";
import { rewriteDump } from "./rewrite.ts";
import { keepDates } from "./settings.ts";
import { compareVersions, readServer, type Server } from "./server.ts";
import { type ClientTool, complaint, requireTool, toolSpec } from "./tools.ts";
import { dumpFormat } from "./walker.ts";

type Context = Abortable & { readonly runtime: Runtime };

/**
 * Dumps with mysqldump or mariadb-dump: all databases meant are one dump at one position. Users and
 * grants become an artifact of their own.
 */
export async function dump(
  client: Client,
  address: MysqlAddress,
  plan: DumpPlan,
  emit: Emit,
  o: Context,
): Promise<DumpResult> {
  if (plan.kind !== "full") {
    throw new BackupError("usage/kind-unsupported", `There is no ${plan.kind} backup here`, {
      hint: "Use the strategy full.",
    });
  }
  const server = await readServer(client, o);
  const tool = await requireTool("dump", server, address, o);
  const sight = await lookClosely(client, server, address, plan.settings, o);
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
    const spec = { ...toolSpec(tool, address, isEncrypted, args), stallMs: plan.stallMs };
    const head = {
      role: "dump",
      databases,
      format: dumpFormat.id,
      slug: address.selected === undefined ? "all" : databases.join("-"),
    } as const;
    // The first bytes come after the snapshot was taken.
    const onFirst = () => consistentAt = o.runtime.now();
    const bytes = ends.watch(output(tool, spec, o), onFirst);
    const kept = keepDates(withoutRows(bytes, tool, sight, plan.settings));
    const whole = sight.hasCheckedViews ? orderViews(kept) : kept;
    const { databases: seen } = await emit(head, whole);
    inventories.push(...seen);
    await assertWhole(client, address, server, sight, omitted, plan.settings, seen, tool, o);
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

function dumpArgs(
  server: Server,
  tool: ClientTool,
  sight: Sight,
  omitted: readonly Omission[],
  settings: DumpSettings,
): string[] {
  const isOmitted = (name: string) => omitted.some((omission) => omission.name === name);
  // What is accepted as missing must not make the tool fail.
  const hasRoutines = !(isOmitted("routines") && closedRoutines(sight).length > 0);
  const left = leftOut(server, sight);
  return [
    "--single-transaction",
    "--quick",
    "--hex-blob",
    "--no-tablespaces",
    "--comments",
    ...hasRoutines ? ["--routines"] : ["--skip-routines"],
    ...isOmitted("events") ? ["--skip-events"] : ["--events"],
    "--triggers",
    // Under LOCK TABLES, a table whose default is a sequence's next value cannot be filled (ERROR
    // 1100), nor, where GTIDs are consistent, one whose foreign key's triggers write to MyISAM (1785).
    "--skip-add-locks",
    ...positionArgs(server, tool),
    ...statisticsArgs(server, tool),
    ...keepsHistory(server, tool, sight) ? ["--dump-history"] : [],
    ...settings.schemaOnly === true ? ["--no-data"] : [],
    ...left.map(({ database, name }) => `--ignore-table=${database}.${name}`),
    ...hasIgnoreData(tool)
      ? emptied(sight, settings).map(({ database, name }) =>
        `--ignore-table-data=${database}.${name}`
      )
      : [],
    ...settings.dumpArgs ?? [],
    "--databases",
    "--",
    ...sight.databases,
  ];
}

/** Histograms: who made them wants them back. */
function statisticsArgs(server: Server, tool: ClientTool): string[] {
  if (tool.flavour !== "MySQL" || compareVersions(tool.version, "8.0", 2) < 0) return [];
  const isKnown = server.flavour === "MySQL" && compareVersions(server.version, "8.0", 2) >= 0;
  return [`--column-statistics=${isKnown ? 1 : 0}`];
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

/** Rows of the past, which MariaDB's tool gives from 10.11 on. */
function keepsHistory(server: Server, tool: ClientTool, { relations }: Sight): boolean {
  return relations.some(({ isVersioned }) => isVersioned) && tool.flavour === "MariaDB" &&
    compareVersions(tool.version, "10.11", 2) >= 0 &&
    compareVersions(server.version, "10.11", 2) >= 0;
}

function leftOut(server: Server, sight: Sight): readonly Relation[] {
  const closed = new Set([
    ...tablesWithoutSelect(server, sight),
    ...viewsWithoutShow(server, sight),
  ]);
  return [...closed, ...sight.excluded];
}

function emptied(sight: Sight, settings: DumpSettings): readonly Relation[] {
  return matching(sight.databases, sight.relations, settings.excludeData).filter(({ type }) =>
    type === "table"
  );
}

/** MySQL's tool cannot leave out rows of some tables, so they are taken out of what it prints. */
function hasIgnoreData({ flavour }: ClientTool): boolean {
  return flavour === "MariaDB";
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

/** The tool's output, with its failure as ours. */
async function* output({ name }: ClientTool, spec: ChildSpec, o: Context): Bytes {
  try {
    yield* childOutput(spec, o);
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw new BackupError("dump/failed", `${name} failed: ${complaint(error)}`, {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: "Its whole output is in the log at --log-level debug.",
    });
  }
}

/**
 * The tools exit 0 after some of their errors, so what was there before and after must be inside.
 *
 * @throws BackupError `dump/failed`
 */
async function assertWhole(
  client: Client,
  address: MysqlAddress,
  server: Server,
  before: Sight,
  omitted: readonly Omission[],
  settings: DumpSettings,
  dumped: readonly DatabaseInventory[],
  tool: ClientTool,
  o: Abortable,
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
async function newDatabases(
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

// GTID sets of MySQL grow long in the head; the tail holds a few lines.
const keptBytes = 64 * 1024;
const tailBytes = 8 * 1024;

/** Keeps the beginning and the end of a stream, where a dump notes its position. */
function createEnds() {
  const head = Buffer.alloc(keptBytes);
  let headLength = 0;
  let tail = Buffer.alloc(0);
  return {
    async *watch(bytes: Bytes, onFirst: () => void): Bytes {
      for await (const chunk of bytes) {
        if (headLength === 0) onFirst();
        if (headLength < keptBytes) {
          const part = chunk.subarray(0, keptBytes - headLength);
          head.set(part, headLength);
          headLength += part.length;
        }
        const end = chunk.subarray(-tailBytes);
        tail = Buffer.concat([tail, end]).subarray(-tailBytes);
        yield chunk;
      }
    },
    texts: (): [string, string] => [
      head.toString("utf8", 0, headLength),
      tail.toString("utf8"),
    ],
  };
}
