import type { Abortable } from "../../core/bytes.ts";
import { hasCode } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { DumpSettings, SourceInfo } from "../../contracts/source.ts";
import type { Omission } from "../../contracts/manifest.ts";
import type { Address } from "./address.ts";
import type { Client } from "./client.ts";
import { listDatabases } from "./databases.ts";
import { assertDumpArgs } from "./dump-args.ts";
import { unmatchedPatterns } from "./exclusion.ts";
import { isPartial, readLosses, unreadableOf } from "./losses.ts";
import { databaseOmissions, mergeOmissions, serverOmissions } from "./omissions.ts";
import { previewArchive } from "./pg-dump.ts";
import { extensionRowWarnings } from "./extension-rows.ts";
import { obstacleTo } from "./physical/requirements.ts";
import { lostRoleWarnings } from "./lost-roles.ts";
import { searchPathWarnings } from "./search-path.ts";
import { readPosition, readServer, type Server } from "./server.ts";
import { describeTools, findToolSets, newerTools, type ToolSet, toolsForDump } from "./tools.ts";

/** Looks at a server. */
export async function inspect(
  client: Client,
  address: Address,
  settings: DumpSettings,
  o: Abortable & { runtime: Runtime },
): Promise<SourceInfo> {
  assertDumpArgs(settings.dumpArgs ?? []);
  // While the server is asked, the tools are; what is wrong with them is told in its turn.
  const looking = findToolSets(address.toolsDir, o);
  looking.catch(() => {});
  const list = await listDatabases(client, address, o);
  const place = await client.anyDatabase(o);
  const askedAt = o.runtime.now().getTime();
  const server = await readServer(client, address, place, o);
  const answeredAt = o.runtime.now().getTime();
  const { tools, isFitting } = dumpTools(await looking, server, address);
  const omissions: Omission[] = serverOmissions(server, address, list);
  const warnings: string[] = [];
  const unmatched: ReadonlySet<string>[] = [];
  for (const database of list.names) {
    unmatched.push(new Set(await unmatchedPatterns(client, database, settings, o)));
    const found = await databaseOmissions(client, database, server, settings, o);
    omissions.push(...found.omissions);
    warnings.push(
      ...found.warnings,
      ...await searchPathWarnings(client, database, server, o),
      ...await lostRoleWarnings(client, database, o),
      ...await extensionRowWarnings(client, database, o),
    );
    if (tools !== undefined && isFitting && isPartial(settings, found.dumpArgs)) {
      const order = { tools, address, database, settings, omissionArgs: found.dumpArgs };
      const head = await previewArchive(order, o);
      const losses = await readLosses(client, database, head, {
        major: server.major,
        unreadable: unreadableOf(found.omissions),
      }, o);
      omissions.push(...losses.omissions);
      warnings.push(...losses.warnings);
    }
    // One session at a time, and none that keeps others from copying a template.
    if (database !== place) await client.release(database);
  }
  const [first = new Set<string>(), ...others] = unmatched;
  for (const pattern of first) {
    if (!others.every((one) => one.has(pattern))) continue;
    warnings.push(
      `Nothing is left out by ${pattern}: no table has such a name. Patterns are pg_dump's, and names ` +
        "with capitals, dots or spaces are in double quotes",
    );
  }
  if (server.sourceId === undefined) {
    warnings.push(
      "This user may not read the server's system identifier; its address stands for it",
    );
  }
  const mismatch = newerTools(tools, server);
  if (mismatch !== undefined) warnings.push(mismatch);
  const position = await readPosition(client, place, server, o);
  return {
    sourceId: server.sourceId,
    flavour: "PostgreSQL",
    version: server.version,
    tools: describeTools(tools),
    privileges: privilegesOf(server, omissions, list.names),
    omissions: mergeOmissions(omissions),
    capabilities: await obstacleTo(client, place, server, o) === undefined
      ? ["full", "incremental"]
      : ["full"],
    ...position === undefined ? {} : { position },
    clockOffsetMs: Math.round(server.clock.getTime() - (askedAt + answeredAt) / 2),
    estimatedBytes: await estimate(client, place, list.names, o),
    warnings,
  };
}

/** The tools that a dump would take; the newest there are when none will do. */
function dumpTools(
  sets: readonly ToolSet[],
  server: Server,
  { toolsDir }: Address,
): { readonly tools: ToolSet | undefined; readonly isFitting: boolean } {
  try {
    return { tools: toolsForDump(sets, server, toolsDir), isFitting: true };
  } catch (error) {
    if (!hasCode(error, "dump/")) throw error;
    return { tools: sets.toSorted((a, b) => b.major - a.major)[0], isFitting: false };
  }
}

function privilegesOf(
  server: Server,
  omissions: readonly Omission[],
  databases: readonly string[],
): SourceInfo["privileges"] {
  const isFree = (name: string) => !omissions.some((one) => one.name === name);
  return [
    {
      name: `CONNECT on ${databases.join(", ") || "any database"}`,
      isGranted: databases.length > 0,
    },
    { name: "SELECT on all tables", isGranted: isFree("tables") },
    { name: "SELECT on all large objects", isGranted: isFree("large-objects") },
    { name: "superuser, for the passwords of roles", isGranted: server.isSuperuser },
  ];
}

async function estimate(
  client: Client,
  place: string,
  databases: readonly string[],
  o: Abortable,
): Promise<number> {
  const [row] = await client.rows(
    place,
    `SELECT coalesce(sum(pg_catalog.pg_database_size(oid)), 0)::float8 AS bytes
       FROM pg_catalog.pg_database
      WHERE datname IN (SELECT pg_catalog.json_array_elements_text($1::text::json))`,
    o,
    [JSON.stringify(databases)],
  );
  return Number(row?.["bytes"]);
}
