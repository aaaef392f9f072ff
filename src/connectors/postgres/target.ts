import { setTimeout } from "node:timers/promises";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type {
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreStep,
} from "../../contracts/connector.ts";
import type { Address } from "./address.ts";
import { majorOf, readHead } from "./archive/head.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { isEmpty } from "./inventory.ts";
import { derivedName } from "./names.ts";
import { assertOwners } from "./owners.ts";
import { choosePart, presentObjects } from "./part.ts";
import { onlyBackup, selectDatabases, type SelectedDatabase } from "./selection.ts";
import { readServer, type Server } from "./server.ts";
import { findToolSets, toolsForRestore } from "./tools.ts";

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
  const place = await client.anyDatabase(o, targets).catch(() => client.anyDatabase(o));
  const server = await readServer(client, address, place, o);
  const sets = await findToolSets(address.toolsDir, o);
  const heads: ArchiveHead[] = [];
  for (const { artifact } of wanted) {
    const head = await readHead(artifact, o);
    assertNewEnough(head, server);
    toolsForRestore(sets, archiveTool(head), server.major, address.toolsDir);
    heads.push(head);
  }
  assertParts(heads, options);
  const warnings = await assertOwners(client, place, server, backup, heads, options, o);
  if (options.isWithAccounts && !backup.artifacts.some(({ role }) => role === "accounts")) {
    warnings.push("The backup holds no roles");
  }

  const rows = await client.rows(place, "SELECT datname AS name FROM pg_catalog.pg_database", o);
  const present = new Set(rows.map((row) => String(row["name"])));
  const steps: RestoreStep[] = [];
  for (const [index, { name }] of wanted.entries()) {
    const head = heads[index]!;
    if (options.only.length > 0 && !hasPart(head, options)) continue;
    const to = targets[index]!;
    const step = await planDatabase(client, { name, to, head }, present, options, o);
    if (step.mode === "create" || step.mode === "swap") assertMayCreate(server, address, step);
    if (step.mode === "swap") await assertFree(client, place, to, o);
    steps.push(step);
  }
  return {
    steps,
    isCheckedFirst: steps.some(({ mode }) => mode === "replace"),
    warnings,
    target: `PostgreSQL ${server.version} at ${address.label}`,
    sourceId: server.sourceId,
  };
}

/** What wrote an archive, for choosing what reads it. */
export function archiveTool({ header }: ArchiveHead) {
  const toolVersion = header.toolVersion.split(" ")[0]!;
  return { toolVersion, toolMajor: majorOf(toolVersion) };
}

/** A target's URL may name another database, for a backup or choice of one. */
function targetName(
  from: string,
  wanted: readonly SelectedDatabase[],
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

function assertNewEnough({ header }: ArchiveHead, server: Server): void {
  if (server.major >= majorOf(header.serverVersion)) return;
  const dumped = header.serverVersion.split(" ")[0]!;
  throw new BackupError(
    "restore/target-too-old",
    `The target runs PostgreSQL ${server.version}, older than the ${dumped} that was dumped`,
    { hint: `Restore to a server of version ${majorOf(dumped)} or newer.` },
  );
}

function hasPart(head: ArchiveHead, options: RestoreOptions): boolean {
  return choosePart(head, options.only).found.size > 0;
}

/** Every name of `--only` must be in one of the databases. */
function assertParts(heads: readonly ArchiveHead[], { only }: RestoreOptions): void {
  const parts = heads.map((head) => choosePart(head, only));
  for (const name of only) {
    if (parts.some(({ found }) => found.has(name))) continue;
    throw new BackupError("restore/no-such-object", `The backup has no table "${name}"`, {
      hint: suggestionOf(name, parts.flatMap(({ known }) => known)),
    });
  }
}

function suggestionOf(name: string, known: readonly string[]): string {
  const near = known.find((one) => one.endsWith(`.${name}`) || one.toLowerCase() === name);
  return near === undefined
    ? `It has ${known.slice(0, 20).join(", ") || "none"}.`
    : `Did you mean "${near}"?`;
}

async function planDatabase(
  client: Client,
  { name: from, to, head }: { name: string; to: string; head: ArchiveHead },
  present: ReadonlySet<string>,
  options: RestoreOptions,
  o: Abortable,
): Promise<RestoreStep> {
  if (!present.has(to)) return { from, to, mode: "create" };
  if (options.only.length > 0) {
    const there = await presentObjects(client, to, choosePart(head, options.only), o);
    if (there.length === 0) return { from, to, mode: "fill" };
    if (!options.isOverwrite) {
      throw new BackupError(
        "restore/not-empty",
        `Database "${to}" has ${there.join(", ")} already`,
        { hint: "Restore to another database, or pass --overwrite to replace them." },
      );
    }
    return {
      from,
      to,
      mode: "replace",
      loses: `${there.join(", ")} in database "${to}" are dropped and made again, in one ` +
        "transaction; other tables stay",
    };
  }
  if (await isEmpty(client, to, o)) return { from, to, mode: "fill" };
  if (!options.isOverwrite) {
    throw new BackupError("restore/not-empty", `Database "${to}" is there and not empty`, {
      hint: "Restore to another database, or pass --overwrite: the present one is then kept " +
        "under another name.",
    });
  }
  const keptAs = derivedName(to, `_before_${options.backupId}`, present);
  return { from, to, mode: "swap", keptAs };
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
      `SELECT coalesce(nullif(application_name, ''), 'a client') || ' of ' ||
              coalesce(usename, '?') AS who
         FROM pg_catalog.pg_stat_activity
        WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()
          AND (backend_type IS NULL OR backend_type = 'client backend')`,
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
  return new BackupError(
    "restore/in-use",
    `Cannot replace database "${database}" while ${others} connected to it`,
    {
      cause,
      hint: "Stop what uses it, or end its connections: SELECT pg_terminate_backend(pid) FROM " +
        `pg_stat_activity WHERE datname = '${
          database.replaceAll("'", "''")
        }'. Nothing was changed.`,
    },
  );
}
