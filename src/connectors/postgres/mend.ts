import { bytesOf } from "../../core/bytes.ts";
import { readHeadBytes } from "./archive/head.ts";
import { withSearchPath } from "./archive/search-path.ts";
import { type LoadOrder, toolOrder } from "./load-order.ts";
import { runPgRestore } from "./pg-restore.ts";
import type { RestoreContext } from "./scene.ts";
import { objectOf, type ToolFailure } from "./tool-failure.ts";
import { isMadeAlone, kindReader, type Verdict } from "./verdict.ts";

/** Makes again what failed and needs no rows of the archive: as it was, then with other paths. */
export async function mend(
  order: LoadOrder,
  { failures, isRaced }: {
    readonly failures: readonly ToolFailure[];
    readonly isRaced: Verdict["isRaced"];
  },
  paths: readonly (string | undefined)[],
  o: RestoreContext,
): Promise<{ readonly rest: readonly ToolFailure[]; readonly warnings: readonly string[] }> {
  let rest = failures;
  const warnings: string[] = [];
  for (const path of paths) {
    const kindOf = kindReader(order.head);
    const isCurable = rest.map((failure) => kindOf(failure) === "curable");
    const again = rest.filter((failure, at) =>
      isMadeAlone(failure.entry) &&
      (isCurable[at] || path === paths[0] && isRaced(failure))
    );
    if (again.length === 0) break;
    const bytes = await readHeadBytes(order.source.artifact, o);
    const archive = bytesOf(bytes);
    const run = await runPgRestore({
      ...toolOrder(order, () => "go on"),
      archive: path === undefined ? archive : withSearchPath(archive, path),
      archiveBytes: bytes.byteLength,
      ids: new Set(again.map(({ entry }) => entry!.dumpId)),
      jobs: 1,
      isOneTransaction: false,
    }, o);
    const failing = new Set(run.failures.map(({ entry }) => entry?.dumpId));
    const mended = again.filter(({ entry }) => !failing.has(entry!.dumpId));
    // What comes good by itself only came too early: pg_dump's order is not always right.
    if (path !== undefined && mended.length > 0) warnings.push(pathWarning(mended, path));
    rest = [...rest.filter((failure) => !again.includes(failure)), ...run.failures];
  }
  return { rest, warnings };
}

/** What is said of objects that only another path than the archive's makes. */
export function pathWarning(failures: readonly ToolFailure[], path: string): string {
  const objects = [...new Set(failures.flatMap(({ entry }) => entry ? objectOf(entry) : []))];
  const shown = objects.length > 5 ? [...objects.slice(0, 5), "…"] : objects;
  return `${shown.join(", ")} cannot be made with the empty search_path of archives ` +
    `(${failures[0]!.message}); it was made with the database's own, ${path}. ` +
    "ALTER FUNCTION … SET search_path makes such functions safe";
}
