import { type Abortable, type Bytes, bytesOf } from "../../core/bytes.ts";
import { ChildError, childOutput, type ChildSpec } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { DumpPlan, DumpResult, DumpSettings, Emit } from "../../contracts/connector.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { Position } from "../../contracts/manifest.ts";
import { readAccounts } from "./accounts.ts";
import { isOwn } from "./archive/namespace.ts";
import type { NamespaceRules, OplogTime } from "./archive/oplog.ts";
import { rewriteArchive } from "./archive/rewrite.ts";
import { accountsFormat, archiveFormat } from "./archive/walker.ts";
import type { Client } from "./client.ts";
import { listDatabases } from "./databases.ts";
import { consistencyWarnings, isConsistent, isWhole, omissionsOf } from "./inspect.ts";
import { readServer } from "./server.ts";
import { complaint, requireTool, toolSpec } from "./tools.ts";
import type { MongoAddress } from "./uri.ts";

/**
 * Dumps with mongodump: all databases as one archive, on a replica set with the oplog of the time
 * it took; or one archive for each selected database. Users and roles become an archive of their own.
 */
export async function dump(
  client: Client,
  address: MongoAddress,
  plan: DumpPlan,
  emit: Emit,
  o: Abortable & { runtime: Runtime },
): Promise<DumpResult> {
  if (plan.kind !== "full") {
    throw new BackupError("usage/kind-unsupported", `MongoDB has no ${plan.kind} backup here`, {
      hint: "Use the strategy full.",
    });
  }
  const tool = await requireTool("mongodump", address, o);
  const server = await client.ask((driver) => readServer(driver), o);
  const databases = await client.ask((driver) => listDatabases(driver, address), o);
  const hasOplog = isConsistent(server, address);
  const inventories: DatabaseInventory[] = [];
  let last: OplogTime | undefined;

  const units = isWhole(server, address) ? [undefined] : databases;
  for (const database of units) {
    const args = [
      "--archive",
      ...database === undefined ? [] : [`--db=${database}`],
      ...hasOplog ? ["--oplog"] : [],
      ...plan.settings.dumpArgs ?? [],
    ];
    const spec = {
      ...toolSpec(tool, address, args),
      ...{ stallMs: plan.stallMs, alive: client.alive },
    };
    const bytes = rewriteArchive(output(spec, o), {
      ...rulesOf(plan.settings, database),
      onOplog: (time) => last = time,
      onLost: assertNothingLost,
      ...seenUntil(server.position),
    });
    const head = {
      role: "dump",
      databases: database === undefined ? databases : [database],
      format: archiveFormat.id,
      slug: database ?? "all",
    } as const;
    inventories.push(...(await emit(head, bytes)).databases);
  }

  const consistentAt = last === undefined ? o.runtime.now() : new Date(last.t * 1000);
  const to = endPosition(server.position, hasOplog, last);
  const warnings = consistencyWarnings(server, address);
  const { accounts: state } = server;
  if (state.missing === undefined) {
    const accounts = await client.ask(
      (driver) => readAccounts(driver, server.version, address.selected),
      o,
    );
    const head = {
      role: "accounts",
      databases: address.selected ?? [],
      format: accountsFormat.id,
      slug: "accounts",
    } as const;
    if (accounts !== undefined) await emit(head, bytesOf(accounts));
  } else if (address.selected !== undefined) {
    warnings.push(`Users and roles are not in the backup. ${state.missing}`);
  }
  return {
    ...server.position === undefined ? {} : { from: server.position },
    ...to === undefined ? {} : { to },
    consistentAt,
    inventory: { databases: inventories },
    omitted: omissionsOf(server, address),
    warnings,
  };
}

function seenUntil(position: Position | undefined) {
  if (position === undefined) return {};
  return { seenUntil: { t: Number(position["t"]), i: Number(position["i"]) } };
}

/** Older mongodumps list the collections first, and follow the oplog a moment later. */
function assertNothingLost(lost: readonly { db: string; collection: string }[]): void {
  const [first] = lost;
  if (first === undefined) return;
  throw new BackupError(
    "dump/failed",
    `Collection "${first.db}.${first.collection}" was made while mongodump began, and is not in ` +
      `the dump${lost.length === 1 ? "" : `, nor ${lost.length - 1} more`}`,
    { hint: "Run the backup again." },
  );
}

/**
 * What of a dump goes into the archive. Users and roles have an archive of their own, and what else
 * the server keeps for itself must not reach another one.
 */
function rulesOf(settings: DumpSettings, database: string | undefined): NamespaceRules {
  const excluded = matcherOf(settings.exclude ?? [], database);
  const emptied = matcherOf(settings.excludeData ?? [], database);
  return {
    keep: (db, collection = "") => !isInternal(db, collection) && !excluded(db, collection),
    hasData: (db, collection) => settings.schemaOnly !== true && !emptied(db, collection),
    rename: (db) => db,
  };
}

function isInternal(db: string, collection: string): boolean {
  return db === "config" || db === "local" || (db === "admin" && !isOwn(collection));
}

/** Collections by DB.COLLECTION, or by COLLECTION where one database is dumped; `*` is any text. */
function matcherOf(patterns: readonly string[], database: string | undefined) {
  const expressions = patterns.map((pattern) => {
    const isQualified = database === undefined || pattern.startsWith(`${database}.`);
    const whole = isQualified ? pattern : `${database}.${pattern}`;
    const parts = whole.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`, "s");
  });
  return (db: string, collection: string): boolean =>
    expressions.some((expression) => expression.test(`${db}.${collection}`));
}

/** mongodump's output, with its failure as ours. */
async function* output(spec: ChildSpec, o: Abortable & { runtime: Runtime }): Bytes {
  try {
    yield* childOutput(spec, o);
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    const isDenied = /not authorized|Unauthorized/.test(error.exit.stderr);
    const code = isDenied ? "connection/denied" : "dump/failed";
    throw new BackupError(code, `mongodump failed: ${complaint(error)}`, {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: hintFor(error.exit.stderr),
    });
  }
}

function hintFor(stderr: string): string {
  if (/not authorized|Unauthorized/.test(stderr)) {
    return "Grant the user the built-in role backup.";
  }
  if (/while renames occur/.test(stderr)) {
    return "mongodump cannot follow renames: run when none happen. Aggregations with $out and " +
      "mapReduce rename, too; name the databases in the config to dump them without the oplog.";
  }
  if (/oplog overflow/i.test(stderr)) {
    return "The oplog is too short for the time that the dump takes; make it larger.";
  }
  return "Its whole output is in the log at --log-level debug.";
}

/**
 * Where a dump stands: with an oplog, its last entry, so that the next slice follows it. Without, the
 * data is of no single moment from there on, and `isConsistent` says so.
 */
function endPosition(
  before: Position | undefined,
  isConsistent: boolean,
  last: OplogTime | undefined,
): Position | undefined {
  if (last === undefined) return before && { ...before, isConsistent };
  const { t, i, term } = last;
  return { type: "oplog", t, i, term: term ?? 0, isConsistent };
}
