import { type Abortable, bytesOf } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { DumpPlan, DumpResult, Emit } from "../../contracts/dump.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import type { Omission, Position } from "../../contracts/manifest.ts";
import { accountsFormat, readAccounts } from "./accounts.ts";
import type { Address } from "./address.ts";
import { archiveFormat } from "./archive/format.ts";
import type { Client } from "./client.ts";
import { listDatabases } from "./databases.ts";
import { assertDumpArgs } from "./dump-args.ts";
import { isPartial, readLosses, unreadableOf } from "./losses.ts";
import { databaseOmissions, mergeOmissions, serverOmissions } from "./omissions.ts";
import { dumpArchive, watchHead } from "./pg-dump.ts";
import { readServer, type Server } from "./server.ts";
import { openSnapshot } from "./snapshot.ts";
import { findToolSets, newerTools, type ToolSet, toolsForDump } from "./tools.ts";

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
  const warnings = await emitAccounts(
    { tools, server, address, place, stallMs: plan.stallMs },
    emit,
    o,
  );
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
      const order = {
        ...{ tools, address, database, snapshot: snapshot.name },
        ...{ settings: plan.settings, omissionArgs: left.dumpArgs, stallMs: plan.stallMs },
      };
      // What is left out is looked up as the snapshot shows it.
      const bytes = isPartial(plan.settings, left.dumpArgs)
        ? watchHead(dumpArchive(order, () => Promise.resolve(), o), async (head) => {
          const losses = await readLosses(client, database, head, {
            major: server.major,
            unreadable: unreadableOf(left.omissions),
          }, o);
          omitted.push(...losses.omissions);
          warnings.push(...losses.warnings);
          await snapshot.close();
        })
        : dumpArchive(order, snapshot.close, o);
      const head = {
        role: "dump",
        databases: [database],
        format: archiveFormat.id,
        slug: database,
      } as const;
      const { databases } = await emit(head, bytes);
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

/** @returns warnings */
async function emitAccounts(
  order: {
    readonly tools: ToolSet;
    readonly server: Server;
    readonly address: Address;
    readonly place: string;
    readonly stallMs: number;
  },
  emit: Emit,
  o: Context,
): Promise<string[]> {
  const { tools, server, address, place, stallMs } = order;
  const isOneAsked = address.selected !== undefined;
  const head = {
    role: "accounts",
    databases: [],
    format: accountsFormat.id,
    slug: "roles",
  } as const;
  let accounts: string;
  try {
    accounts = await readAccounts(tools, server, address, place, { ...o, stallMs });
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
