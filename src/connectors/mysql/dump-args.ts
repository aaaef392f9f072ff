import type { DumpSettings } from "../../contracts/source.ts";
import type { Omission } from "../../contracts/manifest.ts";
import type { Relation } from "./databases.ts";
import { hasEndless } from "./events.ts";
import { closedRoutines, type Sight, tablesWithoutSelect, viewsWithoutShow } from "./omissions.ts";
import { matching } from "./patterns.ts";
import { positionArgs } from "./position.ts";
import { compareVersions, type Server } from "./server.ts";
import type { ClientTool } from "./tools.ts";

/** The arguments that the dump tool gets, behind those of the connection. */
export function dumpArgs(
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
    // Those on which the tool never ends are put in behind it, with all others.
    ...isOmitted("events") || hasEndless(sight.programs) ? ["--skip-events"] : ["--events"],
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

/** Rows of the past, which MariaDB's tool gives from 10.11 on. */
function keepsHistory(server: Server, tool: ClientTool, { relations }: Sight): boolean {
  return relations.some(({ isVersioned }) => isVersioned) && tool.flavour === "MariaDB" &&
    compareVersions(tool.version, "10.11", 2) >= 0 &&
    compareVersions(server.version, "10.11", 2) >= 0;
}

/** What the tool is told to leave out: what it may not read, and what the job excludes. */
export function leftOut(server: Server, sight: Sight): readonly Relation[] {
  const closed = new Set([
    ...tablesWithoutSelect(server, sight),
    ...viewsWithoutShow(server, sight),
  ]);
  return [...closed, ...sight.excluded];
}

/** The tables of which only the definition is dumped. */
export function emptied(sight: Sight, settings: DumpSettings): readonly Relation[] {
  return matching(sight.databases, sight.relations, settings.excludeData).filter(({ type }) =>
    type === "table"
  );
}

/** MySQL's tool cannot leave out rows of some tables, so they are taken out of what it prints. */
export function hasIgnoreData({ flavour }: ClientTool): boolean {
  return flavour === "MariaDB";
}
