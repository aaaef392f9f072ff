import { bytesOf } from "../../core/bytes.ts";
import type { RestoreFailure } from "../../contracts/restore.ts";
import { type Absence, absenceOf } from "./absence.ts";
import { readHeadBytes } from "./archive/head.ts";
import { searchPathsOf, withSearchPath } from "./archive/search-path.ts";
import { statementsOf } from "./archive/sql.ts";
import { runInside } from "./create.ts";
import { sqlState } from "./failure.ts";
import { loadFailure } from "./load-failure.ts";
import { type LoadOrder, toolOrder } from "./load-order.ts";
import { mend, pathWarning } from "./mend.ts";
import { quoteName } from "./names.ts";
import { isLeftOut } from "./owners.ts";
import { runPgRestore } from "./pg-restore.ts";
import { type PhasedRun, reasonOf, runInPhases } from "./phases.ts";
import type { RestoreContext } from "./scene.ts";
import { giveSchemas, readSchemaNeeds } from "./schemas.ts";
import {
  missingSequences,
  type SequenceName,
  sequenceStatement,
  settleSequences,
  unvaluedSequences,
} from "./sequences.ts";
import { objectOf, restoreFailure } from "./tool-failure.ts";
import type { ToolSet } from "./tools.ts";
import { noteObjects } from "./undo.ts";
import { judging, type Verdict } from "./verdict.ts";

const undoLimitMs = 60_000;

/** What came of it. */
export interface Loaded {
  /** Only of a restore that keeps going. */
  readonly failures: readonly RestoreFailure[];
  readonly warnings: readonly string[];
  /** Dump ids of what needs something that is not in the archive. */
  readonly leftOut: ReadonlySet<number>;
  /** What was made in the place of something that is not in the archive. */
  readonly made: readonly SequenceName[];
}

/**
 * Loads an archive with pg_restore.
 *
 * Archives restore with an empty search_path, in which functions that name others without their
 * schema fail, and with them the indexes, checks, generated columns and materialized views that use
 * them. What fails so is made again with the database's own search_path: an object that needs no rows
 * of the archive by itself, anything else by beginning again. So it is with rows that are refused
 * because others are not there yet: see {@link runInPhases}.
 *
 * Several workers always restore in phases. By themselves they make what stands on rows as soon as
 * its own table is loaded, and that of a partitioned table, which has no rows of its own, at once:
 * its triggers would change the rows of partitions that come later.
 *
 * @throws BackupError `restore/failed`
 */
export async function loadArchive(order: LoadOrder, o: RestoreContext): Promise<Loaded> {
  // First the archive's own.
  const paths = [undefined, ...searchPathsOf(order.head)];
  const warnings: string[] = [];
  const { client, database, head, ids, unrestorable, isPartial } = order;
  const made = await missingSequences(client, database, head, ids, o);
  const { there, bare, owners } = await readSchemaNeeds(client, database, head, {
    ids,
    early: made.map(({ schema }) => schema),
  }, o);
  const before = [
    ...bare.map((name) => `CREATE SCHEMA ${quoteName(name)}`),
    ...made.map(sequenceStatement),
  ];
  const absence = absenceOf(head, { there, unrestorable, isPartial });
  let jobs = order.mode === "replace" ? 1 : order.options.jobs;
  let isPhased = jobs > 1;
  let turn = 0;
  for (let isAgain = false;; isAgain = true) {
    const verdict = judging(order, absence, turn + 1 < paths.length, { isPhased, jobs });
    const isOneTransaction = jobs === 1 && isInOneTransaction(order, isAgain || before.length > 0);
    const loaded = await orAsBefore(order, isOneTransaction, async () => {
      if (before.length > 0) await runInside(client, database, before, o);
      verdict.isOneTransaction = isOneTransaction;
      const run = await loadOnce(order, { absence, path: paths[turn], verdict }, o);
      if (verdict.again !== undefined) return undefined;
      if (run.isStopped) throw loadFailure(run.failures.at(-1)!, order);
      warnings.push(...run.warnings);
      const own = run.failures.filter((failure) => !absence.explains(failure));
      const mended = await mend(
        order,
        { failures: own, isRaced: verdict.isRaced },
        paths.slice(turn),
        o,
      );
      const rest = mended.rest.filter((failure) => !absence.explains(failure));
      warnings.push(
        ...mended.warnings,
        ...await makeUnchecked(order, absence, o),
        ...await settleSequences(
          client,
          database,
          { made, archived: unvaluedSequences(head, ids) },
          o,
        ),
        ...isLeftOut("owner", order.options.restoreArgs)
          ? []
          : await giveSchemas(client, database, owners, o),
      );
      if (rest.length > 0 && !order.options.isKeepGoing) throw loadFailure(rest[0]!, order);
      if (!order.options.isKeepGoing) {
        warnings.push(...run.relaxed.map(relaxedWarning));
        return [];
      }
      return [...run.relaxed, ...rest.map((failure) => restoreFailure(failure, order.to))];
    }, o);
    if (loaded !== undefined) {
      return {
        failures: firstOfEach(loaded),
        warnings: [...warnings, ...absence.warnings()],
        leftOut: absence.left,
        made,
      };
    }
    const { failure, how } = verdict.again!;
    if (how === "in phases") isPhased = true;
    else if (how === "one worker") {
      jobs = 1;
      warnings.push(
        `The server has no connections for several workers (${failure.message}): one restored ` +
          `"${order.to}" alone`,
      );
    } else if (how === "other path") warnings.push(pathWarning([failure], paths[++turn]!));
  }
}

/**
 * In a database that stays, a failure leaves nothing behind. A transaction ends at any failure: of a
 * parameter that the server does not know, too.
 */
function isInOneTransaction(order: LoadOrder, isAgain: boolean): boolean {
  const { mode, options, tools, serverMajor } = order;
  // What is replaced is gone only with the new in its place.
  if (mode === "replace") return true;
  return mode === "fill" && !options.isKeepGoing && areOneTransaction(tools, serverMajor) &&
    !isAgain;
}

/** Whether these tools can restore to this server in one transaction. */
export function areOneTransaction(tools: ToolSet, serverMajor: number): boolean {
  return !(tools.major >= 17 && serverMajor < 17);
}

async function loadOnce(
  order: LoadOrder,
  { absence, path, verdict }: {
    readonly absence: Absence;
    readonly path: string | undefined;
    readonly verdict: Verdict;
  },
  o: RestoreContext,
): Promise<PhasedRun> {
  const { options, source } = order;
  const part = async (ids: LoadOrder["ids"], what: "first" | "rows" | "rest" = "first") => {
    // What stands on rows has none of its own.
    const bytes = what === "rest" ? await readHeadBytes(source.artifact, o) : undefined;
    const archive = bytes === undefined ? source.artifact.open(o) : bytesOf(bytes);
    return await runPgRestore({
      ...toolOrder(order, what === "rows" ? () => "go on" : verdict.judge),
      archive: path === undefined ? archive : withSearchPath(archive, path),
      archiveBytes: bytes?.byteLength ?? source.artifact.rawBytes,
      ids,
      jobs: what === "rows" ? 1 : verdict.jobs,
      isOneTransaction: verdict.isOneTransaction,
    }, o);
  };
  const ids = absence.without(order.ids);
  if (!verdict.isPhased) return { ...await part(ids), warnings: [], relaxed: [] };
  const isRelaxing = options.isKeepGoing || order.isPartial;
  return await runInPhases({ ...order, ids, isRelaxing, run: part }, o);
}

/**
 * A database that stays is left as it was found, by what one transaction does or by taking away what
 * came; one that this restore made is made anew where all begins again.
 *
 * @param use returns undefined where all is to begin again
 */
async function orAsBefore<T>(
  order: LoadOrder,
  isOneTransaction: boolean,
  use: () => Promise<T | undefined>,
  o: RestoreContext,
): Promise<T | undefined> {
  const { client, database, mode } = order;
  if (mode === "create" || mode === "swap") {
    const done = await use();
    if (done === undefined) await order.renew();
    return done;
  }
  if (isOneTransaction || mode === "replace") return await use();
  const undo = await noteObjects(client, database, o);
  await client.release(database);
  let done: T | undefined;
  try {
    return done = await use();
  } finally {
    // Also after an interrupt.
    if (done === undefined) {
      await undo({ signal: AbortSignal.timeout(undoLimitMs) }).catch((failure) =>
        o.runtime.log.warn("Cannot take away what the restore made in {database}: {error}", {
          database,
          error: String(failure),
        })
      );
    }
    await client.release(database);
  }
}

/**
 * Makes foreign keys to rows that are not in the archive: they hold for rows to come.
 *
 * @returns warnings
 */
async function makeUnchecked(
  { client, database }: LoadOrder,
  { unchecked }: Absence,
  o: RestoreContext,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const entry of unchecked) {
    const [statement] = statementsOf(entry.definition);
    try {
      await runInside(client, database, [`${statement!.replace(/;\s*$/, "")} NOT VALID`], o);
      warnings.push(
        `${
          objectOf(entry)
        } points to rows that are not in the backup: it is NOT VALID, and holds ` +
          "for new rows only",
      );
    } catch (error) {
      // Before PostgreSQL 18, not of partitioned tables.
      if (sqlState(error) === undefined) throw error;
      warnings.push(`${objectOf(entry)} points to rows that are not in the backup: it is left out`);
    }
  }
  return warnings;
}

function relaxedWarning({ object, message, leaves }: RestoreFailure): string {
  return `The ${object} refuses rows, as what it looks at may not be in the backup (${
    reasonOf({ message })
  }). ${leaves}`;
}

function firstOfEach(failures: readonly RestoreFailure[]): RestoreFailure[] {
  const seen = new Set<string>();
  return failures.filter(({ object }) => {
    if (object === undefined) return true;
    const isNew = !seen.has(object);
    seen.add(object);
    return isNew;
  });
}
