import { type Abortable, bytesOf } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { RestoreFailure, RestoreOptions, RestoreStep } from "../../contracts/connector.ts";
import { type Absence, absenceOf } from "./absence.ts";
import type { Address } from "./address.ts";
import { majorOf, readHeadBytes } from "./archive/head.ts";
import { statementsOf } from "./archive/sql.ts";
import { searchPathsOf, withSearchPath } from "./archive/search-path.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import { runInside } from "./create.ts";
import { sqlState } from "./failure.ts";
import { quoteName } from "./names.ts";
import { isLeftOut } from "./owners.ts";
import { runPgRestore, type ToolOrder } from "./pg-restore.ts";
import { type PhasedRun, reasonOf, runInPhases } from "./phases.ts";
import type { SelectedDatabase } from "./selection.ts";
import {
  isOfContention,
  isOfLostConnection,
  lostConnectionHint,
  objectOf,
  restoreFailure,
  type ToolFailure,
} from "./tool-failure.ts";
import type { ToolSet } from "./tools.ts";
import { giveSchemas, readSchemaNeeds } from "./schemas.ts";
import {
  missingSequences,
  type SequenceName,
  sequenceStatement,
  settleSequences,
  unvaluedSequences,
} from "./sequences.ts";
import { noteObjects } from "./undo.ts";
import { isMadeAlone, judging, kindReader, type Verdict } from "./verdict.ts";

const undoLimitMs = 60_000;

/** What is loaded, and where to. */
export interface LoadOrder {
  readonly client: Client;
  readonly address: Address;
  readonly tools: ToolSet;
  readonly serverMajor: number;
  readonly source: SelectedDatabase;
  readonly head: ArchiveHead;
  /** The part of the archive, as dump ids; undefined for all of it. */
  readonly ids: ReadonlySet<number> | undefined;
  readonly database: string;
  /** The name that it is to have in the end. */
  readonly to: string;
  readonly mode: RestoreStep["mode"];
  readonly options: RestoreOptions;
  /** Tables, dotted, that the job accepted to be lost with their rows. */
  readonly unrestorable: ReadonlySet<string>;
  /** Whether the backup lacks something that its constraints may look at. */
  readonly isPartial: boolean;
  /** Makes a database that this restore made as new as it was. */
  renew(): Promise<void>;
}

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

type Context = Abortable & { readonly runtime: Runtime };

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
export async function loadArchive(order: LoadOrder, o: Context): Promise<Loaded> {
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
      const run = await loadOnce(order, absence, paths[turn], verdict, isOneTransaction, o);
      if (verdict.again !== undefined) return undefined;
      if (run.isStopped) throw failed(run.failures.at(-1)!, order);
      warnings.push(...run.warnings);
      const own = run.failures.filter((failure) => !absence.explains(failure));
      const mended = await mend(order, own, paths.slice(turn), warnings, o);
      const rest = mended.filter((failure) => !absence.explains(failure));
      warnings.push(
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
      if (rest.length > 0 && !order.options.isKeepGoing) throw failed(rest[0]!, order);
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
  absence: Absence,
  path: string | undefined,
  verdict: Verdict,
  isOneTransaction: boolean,
  o: Context,
): Promise<PhasedRun> {
  const { options, source } = order;
  verdict.isOneTransaction = isOneTransaction;
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
      isOneTransaction,
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
  o: Context,
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
  o: Context,
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

/** Makes again what failed and needs no rows of the archive: as it was, then with other paths. */
async function mend(
  order: LoadOrder,
  failures: readonly ToolFailure[],
  paths: readonly (string | undefined)[],
  warnings: string[],
  o: Context,
): Promise<readonly ToolFailure[]> {
  let rest = failures;
  for (const path of paths) {
    const kindOf = kindReader(order.head);
    const isCurable = rest.map((failure) => kindOf(failure) === "curable");
    const again = rest.filter((failure, at) =>
      isMadeAlone(failure.entry) &&
      (isCurable[at] || path === paths[0] && (isOfContention(failure) || order.options.jobs > 1))
    );
    if (again.length === 0) return rest;
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
  return rest;
}

function toolOrder(
  { tools, address, database, head, options }: LoadOrder,
  judge: ToolOrder["judge"],
): Omit<
  ToolOrder,
  "archive" | "archiveBytes" | "ids" | "jobs" | "isOneTransaction"
> {
  return { tools, address, database, head, restoreArgs: options.restoreArgs, judge };
}

function pathWarning(failures: readonly ToolFailure[], path: string): string {
  const objects = [...new Set(failures.flatMap(({ entry }) => entry ? objectOf(entry) : []))];
  const shown = objects.length > 5 ? [...objects.slice(0, 5), "…"] : objects;
  return `${shown.join(", ")} cannot be made with the empty search_path of archives ` +
    `(${failures[0]!.message}); it was made with the database's own, ${path}. ` +
    "ALTER FUNCTION … SET search_path makes such functions safe";
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

function failed({ entry, message }: ToolFailure, order: LoadOrder): BackupError {
  const what = entry === undefined ? "" : `${objectOf(entry)}: `;
  return new BackupError("restore/failed", `pg_restore failed: ${what}${message}`, {
    hint: hintFor(message, order),
    ...entry === undefined ? {} : { details: { object: objectOf(entry) } },
  });
}

function hintFor(message: string, { serverMajor, mode, ids, head }: LoadOrder): string {
  const sourceMajor = majorOf(head.header.serverVersion);
  if (isOfLostConnection({ message })) return lostConnectionHint;
  if (/No space left on device|Disk quota exceeded/i.test(message)) {
    return "The server's disk is full: free space on it, and run the same restore again. What was " +
      "there before still is.";
  }
  if (/must be (owner|member|able to SET ROLE)|permission denied to set role/i.test(message)) {
    return "Restore as a superuser, or make all objects your own: --restore-arg=--no-owner.";
  }
  if (mode === "replace" || mode === "fill" && ids !== undefined) {
    return "Nothing was changed. What is there already may be of another form than in the backup: " +
      "restore to another database, and compare the two" +
      (mode === "fill" ? "; or replace what does not fit, too: --only NAME --overwrite." : ".");
  }
  if (/syntax error at or near/.test(message) && serverMajor > sourceMajor) {
    return `PostgreSQL ${serverMajor} reserves a word that ${sourceMajor} did not: back up with the ` +
      `client tools of ${serverMajor}, which quote it, or restore everything else with --keep-going.`;
  }
  if (/ does not exist; .*SQL function/.test(message) && serverMajor >= 17) {
    return "PostgreSQL 17 and newer make indexes and materialized views with an empty search_path, " +
      "whatever is set. Restore everything else with --keep-going, then ALTER FUNCTION … " +
      "SET search_path and make by hand what failed.";
  }
  if (/out of shared memory|max_locks_per_transaction/i.test(message)) {
    return "Raise max_locks_per_transaction on the target, or restore with --jobs 2.";
  }
  if (
    /extension .* is not available|could not (open extension control|access|load library)/i
      .test(message)
  ) {
    return "Install the extension on the target's machine first, or restore all but what needs it: " +
      "--keep-going.";
  }
  return "What was there before still is. --keep-going restores everything else and lists what " +
    "failed.";
}
