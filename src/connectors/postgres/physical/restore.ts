import { createHash } from "node:crypto";
import { join } from "node:path";
import { type Abortable, bytesOf } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Runtime } from "../../../core/runtime.ts";
import { withTempDir } from "../../../core/temp.ts";
import { listed } from "../../../core/text.ts";
import type {
  RestorableArtifact,
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
} from "../../../contracts/restore.ts";
import type { DatabaseInventory } from "../../../contracts/inventory.ts";
import { checked } from "../../../contracts/refusal.ts";
import { accountsFormat, readAccounts } from "../accounts.ts";
import type { Address } from "../address.ts";
import { archiveFormat } from "../archive/format.ts";
import { type Client, clientOf } from "../client.ts";
import { readInventory } from "../inventory.ts";
import { dumpArchive } from "../pg-dump.ts";
import { restore } from "../restore.ts";
import { readServer, type Server } from "../server.ts";
import { assertWritable, planRestore, planSteps, targetName } from "../target.ts";
import { findToolSets, type ToolSet, toolsForDump, toolsOfServer } from "../tools.ts";
import { type PhysicalChain, physicalChain } from "./chain.ts";
import { serverPrograms, withFiles } from "./files.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** Finds out what a restore of databases out of a physical chain would do. */
export async function planPhysical(
  client: Client,
  address: Address,
  chain: RestorableChain,
  options: RestoreOptions,
  o: Context,
): Promise<RestorePlan> {
  const physical = physicalChain(chain, options);
  await checked(() => assertNothingOnly(options), options);
  const wanted = physical.databases.map((name) => ({ name }));
  const targets = wanted.map(({ name }) => targetName(name, wanted, address));
  const place = await client.anyDatabase(o, targets).catch(() => client.anyDatabase(o));
  const server = await readServer(client, address, place, o);
  await checked(() => assertWritable(server, address), options);
  await checked(() => assertNewEnough(physical, server), options);
  const sets = await findToolSets(address.toolsDir, o);
  await checked(() => void toolsOfServer(sets, physical.major, serverPrograms), options);
  const orders = wanted.map(({ name }, index) => ({
    name,
    to: targets[index]!,
    artifact: standIn(physical, name),
  }));
  const { steps, warnings } = await planSteps(
    client,
    { address, place, server },
    orders,
    options,
    o,
  );
  return {
    steps,
    isCheckedFirst: false,
    warnings: [
      ...warnings,
      `The backup is a copy of the whole server: a private one is started on it here, and ${
        listed(physical.databases.map((name) => `"${name}"`))
      } dumped out of it`,
    ],
    target: `PostgreSQL ${server.version} at ${address.label}`,
    sourceId: server.sourceId,
  };
}

/**
 * Restores databases out of a physical chain: a private server is started on the restored files, and
 * each database is dumped out of it into the target, as a dump would be restored. The server and its
 * files go in any case.
 *
 * @throws BackupError as `restore` of dumps, `storage/no-temp-space`
 */
export async function restorePhysical(
  client: Client,
  address: Address,
  { chain, plan, options }: {
    readonly chain: RestorableChain;
    readonly plan: RestorePlan;
    readonly options: RestoreOptions;
  },
  o: Context,
): Promise<RestoreResult> {
  const physical = physicalChain(chain, options);
  const sets = await findToolSets(address.toolsDir, o);
  const tools = toolsOfServer(sets, physical.major, serverPrograms);
  // The server copies segments of the log while it replays them.
  const needBytes = physical.bytes + spareBytes;
  return await withTempDir(o.runtime, needBytes, async (folder) => {
    const order = { tools, dataDir: join(folder, "data"), folder, isKept: false };
    return await withFiles(physical, order, async (own) => {
      const ownClient = clientOf(own, o.runtime);
      try {
        const dumps = await dumpable(ownClient, own, { physical, tools }, o);
        const dumped = { ...chain.at(-1)!, ...dumps };
        const whole = { ...dumped, manifest: plainManifest(dumped) };
        // What the target lacks for it shows only now: owners, extensions, a newer server.
        const { until: _, ...rest } = options;
        const { warnings } = await planRestore(client, address, [whole], rest, o);
        const result = await restore(client, address, { chain: [whole], plan, options: rest }, o);
        return { ...result, warnings: [...warnings, ...result.warnings] };
      } finally {
        await ownClient.close();
      }
    }, o);
  });
}

const spareBytes = 256 * 1024 * 1024;

function assertNewEnough({ major, version }: PhysicalChain, server: Server): void {
  if (server.major >= major) return;
  throw new BackupError(
    "restore/target-too-old",
    `The target runs PostgreSQL ${server.version}, older than the ${version} that was backed up`,
    { hint: `Restore to a server of version ${major} or newer.` },
  );
}

function assertNothingOnly({ only }: RestoreOptions): void {
  if (only.length === 0) return;
  throw new BackupError(
    "restore/only-unsupported",
    "A part of a database cannot be restored out of a copy of the server's files",
    {
      hint: "Restore the whole database to another name, and copy the table from there: " +
        "pg_dump -t TABLE NEW | psql OLD.",
    },
  );
}

/** The database's dump, before there is one: told from those of other moments by its digest. */
function standIn({ base, logs, until }: PhysicalChain, name: string): RestorableArtifact {
  const identity = [base.rawSha256, ...logs.map(({ rawSha256 }) => rawSha256), until, name];
  const sha256 = createHash("sha256").update(JSON.stringify(identity)).digest("hex");
  return {
    ...base,
    role: "dump",
    databases: [name],
    format: archiveFormat.id,
    rawSha256: sha256,
    open() {
      throw new TypeError("It is made when it is restored");
    },
  };
}

/** The databases of a private server, as dumps that are made when they are read. */
async function dumpable(
  client: Client,
  own: Address,
  { physical, tools: ownTools }: { readonly physical: PhysicalChain; readonly tools: ToolSet },
  o: Context,
) {
  const place = await client.anyDatabase(o);
  const server = await readServer(client, own, place, o);
  const tools = toolsForDump([ownTools], server, own.toolsDir);
  const roles = await readAccounts(tools, server, own, place, { ...o, stallMs: rolesLimitMs });
  const artifacts: RestorableArtifact[] = [{
    ...standIn(physical, "roles"),
    role: "accounts",
    databases: [],
    format: accountsFormat.id,
    open: () => bytesOf(roles),
  }];
  const databases: DatabaseInventory[] = [];
  for (const database of physical.databases) {
    databases.push(await readInventory(client, database, o));
    const [row] = await client.rows(
      database,
      "SELECT pg_catalog.pg_database_size(current_database())::float8 AS bytes",
      o,
    );
    await client.release(database);
    const order = { tools, address: own, database, settings: {}, omissionArgs: [] };
    artifacts.push({
      ...standIn(physical, database),
      rawBytes: Number(row?.["bytes"]),
      open: (each) => dumpArchive(order, () => Promise.resolve(), { ...o, ...each }),
    });
  }
  return { artifacts, inventory: { databases } };
}

const rolesLimitMs = 600_000;

/** Of a dump of everything. */
function plainManifest({ manifest, artifacts }: RestorableChain[number]) {
  const { window: _, parent: __, ...rest } = manifest;
  return {
    ...rest,
    parent: null,
    artifacts: artifacts.map(({ open: _, ...artifact }) => artifact),
    omitted: [],
    settings: {},
  };
}
