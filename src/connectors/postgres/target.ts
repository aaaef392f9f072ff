import { setTimeout } from "node:timers/promises";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import { shellQuote } from "../../core/text.ts";
import type {
  RestorableArtifact,
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreStep,
} from "../../contracts/restore.ts";
import { checked, refuse } from "../../contracts/refusal.ts";
import type { Address } from "./address.ts";
import { majorOf, readHead } from "./archive/head.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { databaseNames } from "./databases.ts";
import { isEmpty } from "./inventory.ts";
import { findLeftovers, isOf, type Leftover, markOf } from "./leftover.ts";
import { derivedName, quoteName } from "./names.ts";
import { assertOwners } from "./owners.ts";
import { assertOnly, choosePart, isAnyIn } from "./part.ts";
import { planInto, planNew } from "./part-plan.ts";
import { newDatabase } from "./present.ts";
import { onlyBackup, selectDatabases, type SelectedDatabase } from "./selection.ts";
import { readServer, type Server } from "./server.ts";
import { findToolSets, type ToolSet, toolsForRestore } from "./tools.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** Finds out what a restore would do. */
export async function planRestore(
  client: Client,
  address: Address,
  chain: RestorableChain,
  options: RestoreOptions,
  o: Context,
): Promise<RestorePlan> {
  const backup = onlyBackup(chain);
  const wanted = selectDatabases(chain, options);
  const targets = wanted.map(({ name }) => targetName(name, wanted, address));
  // While the server is asked, the tools are; what is wrong with them is told in its turn.
  const looking = findToolSets(address.toolsDir, o);
  looking.catch(() => {});
  const place = await client.anyDatabase(o, targets).catch(() => client.anyDatabase(o));
  const server = await readServer(client, address, place, o);
  await checked(() => assertWritable(server, address), options);
  const sets = await looking;
  const heads: ArchiveHead[] = [];
  const tools: (ToolSet | undefined)[] = [];
  for (const { artifact } of wanted) {
    const head = await readHead(artifact, o);
    await checked(() => assertNewEnough(head, server), options);
    const find = () => toolsForRestore(sets, archiveTool(head), server.major, address.toolsDir);
    tools.push(await checked(find, options));
    heads.push(head);
  }
  assertOnly(heads, options.only);
  const restored = heads.map((head) => restoredOf(head, options));
  const owners = { place, server, heads: restored };
  const warnings = await checked(
    () => assertOwners(client, owners, backup, options, o),
    options,
  ) ?? [];
  if (options.isWithAccounts && !backup.artifacts.some(({ role }) => role === "accounts")) {
    warnings.push("The backup holds no roles");
  }

  const orders = wanted.flatMap(({ name, artifact }, index) => {
    const head = heads[index]!;
    if (options.only.length > 0 && !isAnyIn(head, options.only)) return [];
    return [{ name, artifact, to: targets[index]!, content: { head, tools: tools[index] } }];
  });
  const planned = await planSteps(client, { address, place, server }, orders, options, o);
  warnings.push(...planned.warnings);
  const { steps } = planned;
  return {
    steps,
    isCheckedFirst: steps.some(({ mode }) => mode === "replace"),
    warnings,
    target: `PostgreSQL ${server.version} at ${address.label}`,
    sourceId: server.sourceId,
  };
}

/** One database to be restored. */
export interface StepOrder {
  readonly name: string;
  readonly artifact: RestorableArtifact;
  /** Its name on the target. */
  readonly to: string;
  /** What there is to choose from, where only a part is asked for. */
  readonly content?: {
    readonly head: ArchiveHead;
    /** Undefined where none is here, of a plan that is only looked at. */
    readonly tools: ToolSet | undefined;
  };
}

/** What is done for each database, and what there is to know about it. */
export async function planSteps(
  client: Client,
  { address, place, server }: {
    readonly address: Address;
    readonly place: string;
    readonly server: Server;
  },
  orders: readonly StepOrder[],
  options: RestoreOptions,
  o: Abortable,
): Promise<{ readonly steps: readonly RestoreStep[]; readonly warnings: readonly string[] }> {
  const present = await databaseNames(client, place, o);
  const leftovers = await findLeftovers(client, place, o);
  const steps: RestoreStep[] = [];
  const warnings: string[] = [];
  for (const order of orders) {
    const { to } = order;
    const wantedMark = markOf({ from: order.name, to }, order.artifact, options, "complete");
    const left = options.isDifferenceAccepted
      ? leftovers.findLast((one) => isOf(one, wantedMark))
      : undefined;
    warnings.push(
      ...leftovers.filter((one) => one.to === to && one !== left && one.name !== to)
        .map((one) => leftoverWarning(one, address, place)),
    );
    const step = await planDatabase(
      client,
      { ...order, left },
      { server, present, options },
      o,
    );
    await checked(() => {
      if (step.mode === "create" || step.mode === "swap") assertMayCreate(server, address, step);
    }, options);
    await checked(async () => {
      if (step.mode === "swap") await assertFree(client, place, to, o);
    }, options);
    steps.push(step);
  }
  return { steps, warnings };
}

/** What wrote an archive, for choosing what reads it. */
export function archiveTool({ header }: ArchiveHead) {
  const toolVersion = header.toolVersion.split(" ")[0]!;
  return { toolVersion, toolMajor: majorOf(toolVersion) };
}

/** A target's URL may name another database, for a backup or choice of one. */
export function targetName(
  from: string,
  wanted: readonly Pick<SelectedDatabase, "name">[],
  { selected, label }: Address,
): string {
  if (selected === undefined || selected.includes(from)) return from;
  if (wanted.length === 1 && selected.length === 1) return selected[0]!;
  throw new BackupError(
    "restore/no-such-object",
    `Cannot tell which of the backup's databases (${
      wanted.map(({ name }) => name).join(", ")
    }) goes into ${label}`,
    { hint: "Choose one database of the backup, or name no database in the target's URL." },
  );
}

/** @throws BackupError `restore/failed` */
export function assertWritable({ isStandby }: Server, { label }: Address): void {
  if (!isStandby) return;
  throw new BackupError("restore/failed", `${label} is a standby, which takes no writes`, {
    hint: "Restore to its primary: the standby gets everything from there.",
  });
}

function assertNewEnough({ header }: ArchiveHead, server: Server): void {
  if (server.major >= majorOf(header.serverVersion)) return;
  const dumped = header.serverVersion.split(" ")[0]!;
  throw new BackupError(
    "restore/target-too-old",
    `The target runs PostgreSQL ${server.version}, older than the ${dumped} that was dumped`,
    { hint: `Restore to a server of version ${majorOf(dumped)} or newer.` },
  );
}

/** An archive's head with what may be restored of it, whatever the target has. */
function restoredOf(head: ArchiveHead, { only }: RestoreOptions): ArchiveHead {
  if (only.length === 0) return head;
  const { ids } = choosePart(head, only, newDatabase);
  const isOfDatabase = ({ description, tag }: TocEntry) =>
    /^DATABASE/.test(description) || tag.startsWith("DATABASE ");
  return {
    ...head,
    entries: head.entries.filter((entry) => ids.has(entry.dumpId) || isOfDatabase(entry)),
  };
}

async function planDatabase(
  client: Client,
  { name: from, to, content, left }: StepOrder & { readonly left: Leftover | undefined },
  { server, present, options }: {
    readonly server: Server;
    readonly present: ReadonlySet<string>;
    readonly options: RestoreOptions;
  },
  o: Abortable,
): Promise<RestoreStep> {
  const adopts = left === undefined ? {} : { adopts: left.name };
  // A restore that filled a database left it where it was.
  if (left?.name === to) return { from, to, mode: "fill", ...adopts };
  if (!present.has(to)) {
    const part = content === undefined || options.only.length === 0
      ? {}
      : { part: planNew(content.head, options.only) };
    return { from, to, mode: "create", ...adopts, ...part };
  }
  await assertValid(client, to, o);
  if (content?.tools !== undefined && options.only.length > 0) {
    const { head, tools } = content;
    return await planInto(client, { from, to, head }, { server, tools }, options, o);
  }
  const isFillable = await isEmpty(client, to, o);
  if (isFillable && left === undefined) return { from, to, mode: "fill" };
  if (!isFillable && !options.isOverwrite) {
    const refusal = `Database "${to}" exists and is not empty`;
    const hint = "Restore to another database, or pass --overwrite: the present one is then kept " +
      "under another name.";
    refuse(new BackupError("restore/not-empty", refusal, { hint }), options);
  }
  const keptAs = derivedName(to, `_before_${options.backupId}`, present);
  return { from, to, mode: "swap", keptAs, ...adopts };
}

/** What an interrupted DROP DATABASE leaves takes no connections, and cannot be renamed or repaired. */
async function assertValid(client: Client, database: string, o: Abortable): Promise<void> {
  const place = await client.anyDatabase(o, [database]).catch(() => undefined);
  if (place === undefined) return;
  const rows = await client.rows(
    place,
    "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1 AND datconnlimit = -2",
    o,
    [database],
  );
  if (rows.length === 0) return;
  throw new BackupError(
    "restore/not-empty",
    `Database "${database}" is invalid: somebody's DROP DATABASE of it was interrupted`,
    { hint: `Drop it, then restore: DROP DATABASE ${quoteName(database)}.` },
  );
}

/** What an earlier restore left, and what becomes of it. */
function leftoverWarning(one: Leftover, address: Address, place: string): string {
  if (one.state === "unfinished") {
    return one.isInUse
      ? `"${one.name}" is being restored for "${one.to}" right now, it seems: somebody is connected`
      : `"${one.name}" is what an interrupted restore of "${one.to}" left; it is dropped`;
  }
  return `"${one.name}" is what an earlier restore of backup ${one.backupId} left for "${one.to}". ` +
    "The same restore with --accept-differences takes it; where it is not needed: " +
    dropCommand(address, place, one.name);
}

function assertMayCreate(server: Server, { user }: Address, { to, mode }: RestoreStep): void {
  if (server.mayCreateDatabases) return;
  throw new BackupError(
    "connection/denied",
    mode === "create"
      ? `User "${user}" may not create database "${to}"`
      : `User "${user}" may not create a database to restore "${to}" beside`,
    {
      hint: `Let somebody grant it CREATEDB (ALTER ROLE "${user}" CREATEDB), or make an empty ` +
        "database for it and restore into that one.",
    },
  );
}

/** Refuses to take a database from under others. @throws BackupError `restore/in-use` */
export async function assertFree(
  client: Client,
  place: string,
  database: string,
  o: Abortable,
): Promise<void> {
  // Our own look into it is over.
  if (place !== database) await client.release(database);
  // The server needs a moment to see that a connection is closed: ours or one of pg_restore.
  for (let tries = 1;; tries++) {
    const rows = await client.rows(
      place,
      `SELECT CASE WHEN backend_type LIKE 'logical replication%' THEN backend_type
              ELSE coalesce(nullif(application_name, ''), 'a client') || ' of ' ||
                coalesce(usename::text, '?') END AS who
         FROM pg_catalog.pg_stat_activity
        WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()
          AND (backend_type IS NULL OR backend_type = 'client backend'
            OR backend_type LIKE 'logical replication%')`,
      o,
      [database],
    );
    if (rows.length === 0) return;
    if (tries === 10) throw inUse(database, rows.map((row) => String(row["who"])));
    await setTimeout(100, undefined, { signal: o.signal }).catch(() => o.signal.throwIfAborted());
  }
}

/** The error of a database that others are connected to. */
export function inUse(database: string, who: readonly string[], cause?: unknown): BackupError {
  const others = who.length === 0 ? "others are" : `${[...new Set(who)].join(", ")} is`;
  if (who.some((one) => one.startsWith("logical replication"))) {
    return new BackupError(
      "restore/in-use",
      `Cannot replace database "${database}" while ${others} connected to it: it has a subscription`,
      {
        cause,
        hint:
          "Disable its subscriptions in it, ALTER SUBSCRIPTION … DISABLE, until the restore is " +
          "over.",
      },
    );
  }
  const isOurs = who.length > 0 && who.every((one) => one.startsWith("dbbackup of "));
  return new BackupError(
    "restore/in-use",
    `Cannot replace database "${database}" while ${others} connected to it`,
    {
      cause,
      hint: (isOurs ? "If this goes through a pooler, give the server's own address. " : "") +
        "Stop what uses it, or end its connections: SELECT pg_terminate_backend(pid) FROM " +
        `pg_stat_activity WHERE datname = '${database.replaceAll("'", "''")}'.`,
    },
  );
}

/** How to drop a database. */
export function dropCommand({ hosts, user }: Address, place: string, name: string): string {
  const [first] = hosts;
  return [
    "psql",
    ...["-h", shellQuote(first!.host), "-p", String(first!.port), "-U", shellQuote(user)],
    ...["-d", shellQuote(place), "-c", shellQuote(`DROP DATABASE ${quoteName(name)}`)],
  ].join(" ");
}
