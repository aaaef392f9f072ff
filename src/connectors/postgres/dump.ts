import { type Abortable, type Bytes, bytesOf } from "../../core/bytes.ts";
import { ChildError, childOutput, type ChildSpec } from "../../core/child.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { DumpPlan, DumpResult, DumpSettings, Emit } from "../../contracts/connector.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { Omission, Position } from "../../contracts/manifest.ts";
import { accountsFormat, readAccounts } from "./accounts.ts";
import type { Address } from "./address.ts";
import { archiveFormat } from "./archive/format.ts";
import type { Client } from "./client.ts";
import { listDatabases } from "./databases.ts";
import { assertDumpArgs } from "./dump-args.ts";
import { databaseOmissions, mergeOmissions, serverOmissions } from "./omissions.ts";
import { readServer, type Server } from "./server.ts";
import { openSnapshot } from "./snapshot.ts";
import {
  complaint,
  findToolSets,
  newerTools,
  type ToolSet,
  toolsForDump,
  toolSpec,
} from "./tools.ts";

type Context = Abortable & { readonly runtime: Runtime };

/**
 * Dumps with `pg_dump -Fc -Z0`, one archive a database, each in a snapshot of its own whose moment
 * and position are noted. Roles and tablespaces become an artifact of their own.
 */
export async function dump(
  client: Client,
  address: Address,
  plan: DumpPlan,
  emit: Emit,
  o: Context,
): Promise<DumpResult> {
  if (plan.kind !== "full") {
    throw new BackupError("usage/kind-unsupported", `PostgreSQL has no ${plan.kind} backup here`, {
      hint: "Use the strategy full.",
    });
  }
  assertDumpArgs(plan.settings.dumpArgs ?? []);
  const list = await listDatabases(client, address, o);
  const place = await client.anyDatabase(o);
  const server = await readServer(client, address, place, o);
  const tools = toolsForDump(
    await findToolSets(address.toolsDir, o),
    server,
    address.toolsDir,
  );
  const omitted: Omission[] = serverOmissions(server, address, list);
  // First, as they are restored first: the owners of what follows.
  const warnings = await emitAccounts(tools, server, address, place, plan, emit, o);
  const inventories: DatabaseInventory[] = [];
  const positions: Position[] = [];
  let consistentAt = o.runtime.now();

  for (const database of list.names) {
    const left = await databaseOmissions(client, database, server, plan.settings, o);
    omitted.push(...left.omissions);
    const snapshot = await openSnapshot(client, database, server, o);
    try {
      consistentAt = snapshot.takenAt;
      if (snapshot.position !== undefined) positions.push(snapshot.position);
      const args = dumpArgs(plan.settings, left.dumpArgs, snapshot.name);
      const spec = {
        ...toolSpec(tools, "pg_dump", address, database, args),
        stallMs: plan.stallMs,
      };
      const head = {
        role: "dump",
        databases: [database],
        format: archiveFormat.id,
        slug: database,
      } as const;
      const { databases } = await emit(head, output(spec, snapshot.close, o));
      inventories.push(...databases.map((one) => ({ ...one, database })));
    } finally {
      await snapshot.close();
      if (database !== place) await client.release(database);
    }
  }
  const mismatch = newerTools(tools, server);
  if (mismatch !== undefined) warnings.push(mismatch);
  if (list.names.length > 1) {
    warnings.push("Each database shows a moment of its own, one after the other");
  }
  return {
    ...positions[0] === undefined ? {} : { from: positions[0], to: positions.at(-1)! },
    consistentAt,
    inventory: { databases: inventories },
    omitted: mergeOmissions(omitted),
    warnings,
  };
}

function dumpArgs(
  settings: DumpSettings,
  omissionArgs: readonly string[],
  snapshot: string | undefined,
): string[] {
  return [
    "--format=custom",
    // Compression is ours, and only uncompressed data can be checked and counted as it passes.
    "--compress=0",
    ...snapshot === undefined ? [] : [`--snapshot=${snapshot}`],
    ...settings.schemaOnly === true ? ["--schema-only"] : [],
    ...(settings.exclude ?? []).map((pattern) => `--exclude-table=${pattern}`),
    ...(settings.excludeData ?? []).map((pattern) => `--exclude-table-data=${pattern}`),
    ...omissionArgs,
    ...settings.dumpArgs ?? [],
  ];
}

/** pg_dump's output, with its failure as ours. */
async function* output(spec: ChildSpec, onStart: () => Promise<void>, o: Context): Bytes {
  let isStarted = false;
  try {
    for await (const chunk of childOutput(spec, o)) {
      // With its first byte out, pg_dump has long taken the snapshot over.
      if (!isStarted) await onStart();
      isStarted = true;
      yield chunk;
    }
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    const { stderr } = error.exit;
    const isConnecting = !isStarted && /connection to server .* failed:/.test(stderr);
    throw new BackupError(
      isConnecting ? "connection/unreachable" : "dump/failed",
      `pg_dump failed: ${complaint(error)}`,
      { cause: error, details: { stderr }, hint: hintFor(stderr) },
    );
  }
}

function hintFor(stderr: string): string {
  if (/permission denied/.test(stderr)) {
    return "Grant the user what is missing; the role pg_read_all_data covers all tables.";
  }
  if (/row-level security/.test(stderr)) return "Give the user BYPASSRLS, or dump as the owner.";
  if (/connection to server .* failed:|server closed the connection/.test(stderr)) {
    return "Look into the server's log for why it let pg_dump go, then run again.";
  }
  return "Its whole output is in the log at --log-level debug.";
}

/** @returns warnings */
async function emitAccounts(
  tools: ToolSet,
  server: Server,
  address: Address,
  place: string,
  plan: DumpPlan,
  emit: Emit,
  o: Context,
): Promise<string[]> {
  const isOneAsked = address.selected !== undefined;
  const head = {
    role: "accounts",
    databases: [],
    format: accountsFormat.id,
    slug: "roles",
  } as const;
  let accounts: string;
  try {
    accounts = await readAccounts(tools, server, address, place, { ...o, stallMs: plan.stallMs });
  } catch (error) {
    // A database of one's own is complete without the server's roles.
    if (!isOneAsked || !hasCode(error, "dump/")) throw error;
    return [`Roles and tablespaces are not in the backup: ${error.message}`];
  }
  await emit(head, bytesOf(accounts));
  return isOneAsked && !server.isSuperuser
    ? ["Roles are in the backup without their passwords: only a superuser can read those"]
    : [];
}
