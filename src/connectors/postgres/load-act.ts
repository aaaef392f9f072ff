import type { RestoreOptions } from "../../contracts/restore.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import { loadArchive } from "./load.ts";
import { arrange, type SettledPart, settlePart } from "./part-plan.ts";
import type { Act, RestoreContext, Scene } from "./scene.ts";
import { archiveTool } from "./target.ts";
import { toolsForRestore } from "./tools.ts";

/** The part that is asked for; undefined for everything. */
export async function partFor(
  { client, options }: Scene,
  { step: { mode }, head }: Act,
  database: string,
  o: RestoreContext,
): Promise<SettledPart | undefined> {
  if (options.only.length === 0) return undefined;
  return await settlePart(client, database, { head, only: options.only, mode }, o);
}

/** Loads what a step restores into a database, whatever its name is by then. */
export async function loadAct(
  { client, address, server, toolSets, options, unrestorable, isPartial }: Scene,
  { source, head, step: { mode, to } }: Act,
  { database, settled, renew }: {
    readonly database: string;
    readonly settled: SettledPart | undefined;
    /** Makes a database that this restore made as new as it was. */
    renew(): Promise<void>;
  },
  o: RestoreContext,
) {
  const tools = toolsForRestore(toolSets, archiveTool(head), server.major, address.toolsDir);
  const serverMajor = server.major;
  const arranged = settled === undefined
    ? { head, source, ids: undefined }
    : arrange(head, source, settled);
  const order = {
    ...{ client, address, tools, serverMajor, ...arranged, database, to, mode },
    ...{ unrestorable, isPartial },
  };
  const { failures, warnings, leftOut, made } = await loadArchive({
    ...order,
    // Several workers go by sections, and would attach a partition before it has its indexes.
    options: settled?.part.attachments.length ? { ...options, jobs: 1 } : options,
    renew,
  }, o);
  return {
    result: {
      failures,
      warnings: [...warnings, ...subscriptionWarnings(head, arranged.ids, options)],
    },
    leftOut,
    made,
  };
}

/** pg_dump has a restore make subscriptions that do nothing: two of one slot would spoil each other. */
function subscriptionWarnings(
  { entries }: ArchiveHead,
  ids: ReadonlySet<number> | undefined,
  { restoreArgs }: RestoreOptions,
): string[] {
  if (ids !== undefined || restoreArgs.includes("--no-subscriptions")) return [];
  const names = entries.filter(({ description }) => description === "SUBSCRIPTION")
    .map(({ tag }) => tag);
  return names.length === 0 ? [] : [
    `The subscription ${names.join(", ")} is disabled, as pg_dump makes them: ` +
    "ALTER SUBSCRIPTION … ENABLE, when this database is to take the place of the one backed up",
  ];
}
