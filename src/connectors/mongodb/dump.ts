import { type Abortable, type Bytes } from "../../core/bytes.ts";
import { ChildError, childOutput, type ChildSpec } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { DumpPlan, DumpResult, Emit } from "../../contracts/dump.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { Position } from "../../contracts/manifest.ts";
import { emitAccounts } from "./accounts.ts";
import { rewriteArchive } from "./archive/rewrite.ts";
import { archiveFormat } from "./archive/walker.ts";
import type { Client } from "./client.ts";
import { listDatabases } from "./databases.ts";
import {
  consistencyWarnings,
  isConsistent,
  isWhole,
  omissionsOf,
  whyNoChanges,
} from "./inspect.ts";
import { dumpOplog } from "./dumpOplog.ts";
import type { OplogEntry } from "./oplog/entry.ts";
import { entryOf } from "./oplog/format.ts";
import { positionAt } from "./oplog/position.ts";
import { sketchSpool } from "./oplog/spool.ts";
import { BrokenTransaction, type Transactions, transactions } from "./oplog/transactions.ts";
import { rulesOf } from "./rules.ts";
import { readServer, type Server } from "./server.ts";
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
  const server = await client.ask((driver) => readServer(driver), o);
  assertKind(plan, server, address);
  if (plan.kind !== "full") return await dumpOplog(client, address, plan, emit, { ...o, server });
  const tool = await requireTool("mongodump", address, o);
  const databases = await client.ask((driver) => listDatabases(driver, address), o);
  const hasOplog = isConsistent(server, address);
  const inventories: DatabaseInventory[] = [];
  let last: OplogEntry | undefined;
  const underWay = transactions(sketchSpool);

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
      onOplog(document) {
        last = entryOf(document);
        follow(underWay, last);
      },
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

  const consistentAt = last === undefined ? o.runtime.now() : new Date(last.instantMs);
  const to = last === undefined
    ? server.position && { ...server.position, isConsistent: hasOplog }
    : positionAt(last.time, underWay.open());
  const warnings = consistencyWarnings(server, address);
  warnings.push(...await emitAccounts(client, { server, address, emit }, o));
  return {
    ...server.position === undefined ? {} : { from: server.position },
    ...to === undefined ? {} : { to },
    consistentAt,
    ...plan.isBase === true ? { window: { from: consistentAt, to: consistentAt } } : {},
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

/** Takes note of a transaction; one that began before the oplog of a dump is in its documents. */
function follow(underWay: Transactions, entry: OplogEntry): void {
  if (entry.transaction === undefined) return;
  try {
    underWay.take(entry, true)?.drop();
  } catch (error) {
    if (!(error instanceof BrokenTransaction)) throw error;
  }
}

/**
 * A backup that others build on, or that builds on one, needs the oplog.
 *
 * @throws BackupError `usage/kind-unsupported`
 */
function assertKind({ kind, isBase }: DumpPlan, server: Server, address: MongoAddress): void {
  const why = whyNoChanges(server, address);
  if (why === undefined || (kind === "full" && isBase !== true)) return;
  throw new BackupError(
    "usage/kind-unsupported",
    `MongoDB at ${address.label} gives no incremental or differential backups: ${why}`,
    { hint: "Use the strategy full." },
  );
}
