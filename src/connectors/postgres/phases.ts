import type { Abortable } from "../../core/bytes.ts";
import type { RestoreFailure } from "../../contracts/restore.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import type { Client, Row } from "./client.ts";
import { sqlState } from "./failure.ts";
import { quoteName } from "./names.ts";
import type { ToolRun } from "./pg-restore.ts";
import { isOfContention, isOfOtherLanguage, objectOf, type ToolFailure } from "./tool-failure.ts";

// A table may have one after another in its way.
const mostTries = 20;

/** A restore in phases: what is before the rows and the rows, rows again, and the rest. */
export interface PhasedOrder {
  readonly client: Client;
  readonly database: string;
  /** The name that it is to have in the end. */
  readonly to: string;
  readonly head: ArchiveHead;
  /** The part of the archive, as dump ids; undefined for all of it. */
  readonly ids: ReadonlySet<number> | undefined;
  /** Whether rows are to come although a constraint refuses them. */
  readonly isRelaxing: boolean;
  /** @param what `rows` again, which may fail again; else one of the two parts of the archive */
  run(ids: ReadonlySet<number>, what: "first" | "rows" | "rest"): Promise<ToolRun>;
}

/** How it went. */
export interface PhasedRun extends ToolRun {
  readonly warnings: readonly string[];
  /** Constraints that rows do not fulfil; only where those are relaxed. */
  readonly relaxed: readonly RestoreFailure[];
}

/**
 * Whether rows were refused by what is asked of each: a CHECK, or a function in one. When that looks
 * into other tables, it may only be that their rows come later, or at the same moment.
 */
export function areRowsRefused(failure: ToolFailure): boolean {
  const { entry, message } = failure;
  return entry?.description === "TABLE DATA" &&
    (isOfContention(failure) || /violates check constraint|(^|; )(SQL|PL\/\w+)[ -]/.test(message) ||
      isOfOtherLanguage(message));
}

/**
 * Restores all tables, then again the rows that were refused, for as long as that helps, and only
 * then what stands on rows: so that no trigger sees them, and no foreign key misses them.
 *
 * A restore that keeps going, or of a backup that lacks something, takes what rows do not fulfil out of
 * their way, and makes it again `NOT VALID`: it holds for new rows.
 */
export async function runInPhases(order: PhasedOrder, o: Abortable): Promise<PhasedRun> {
  const wanted = order.head.entries.filter(({ dumpId }) => order.ids?.has(dumpId) ?? true);
  const isFirst = ({ section }: TocEntry) => section === "pre-data" || section === "data";
  const first = await order.run(idsOf(wanted.filter(isFirst)), "first");
  if (first.isStopped) return { ...first, warnings: [], relaxed: [] };
  const others = first.failures.filter((failure) => !areRowsRefused(failure));
  const refused = first.failures.filter(areRowsRefused);
  let rest: readonly ToolFailure[] = refused;
  for (let before = Infinity; rest.length > 0 && rest.length < before;) {
    before = rest.length;
    rest = await again(order, rest);
  }
  const late = refused.filter(({ entry }) => !rest.some((one) => one.entry === entry));
  const warnings = late.length === 0 ? [] : [lateWarning(late)];
  if (rest.length > 0 && !order.isRelaxing) {
    return { failures: [...others, ...rest], isStopped: true, warnings, relaxed: [] };
  }
  const relaxed = await relax(order, rest, o);
  const last = await order.run(idsOf(wanted.filter((entry) => !isFirst(entry))), "rest");
  return {
    failures: [...others, ...relaxed.rest, ...last.failures],
    isStopped: last.isStopped,
    warnings,
    relaxed: relaxed.failures,
  };
}

/** @returns those that are refused again */
async function again(
  { run }: Pick<PhasedOrder, "run">,
  failures: readonly ToolFailure[],
): Promise<readonly ToolFailure[]> {
  const entries = failures.flatMap(({ entry }) => entry ?? []);
  return (await run(idsOf(entries), "rows")).failures;
}

/** What rows do not pass, and how it goes and comes back. */
interface Obstacle {
  readonly name: string;
  /** For people: `constraint fits of public.things`. */
  readonly object: string;
  readonly drop: string;
  /** Makes it again for new rows; undefined where that cannot be. */
  readonly add: string | undefined;
  readonly definition: string;
  /** How the rows that are there can be asked again. */
  readonly validate: string;
}

async function relax(order: PhasedOrder, failures: readonly ToolFailure[], o: Abortable) {
  const rest: ToolFailure[] = [];
  const relaxed: RestoreFailure[] = [];
  for (const failure of failures) {
    const dropped: Obstacle[] = [];
    let last: ToolFailure | undefined = failure;
    let message = failure.message;
    for (let tries = 0; last !== undefined && tries < mostTries; tries++) {
      if (isOfContention(last)) break;
      const inTheWay = await dropInTheWay(order, last, o);
      if (inTheWay.length === 0) break;
      dropped.push(...inTheWay);
      message = last.message;
      last = (await again(order, [failure])).at(0);
    }
    if (last !== undefined) rest.push(last);
    for (const obstacle of dropped) {
      const isBack = obstacle.add !== undefined && await isDone(order, obstacle.add, o);
      // With its rows gone all the same, that is what is told.
      if (last !== undefined && isBack) continue;
      const { object, definition, validate } = obstacle;
      relaxed.push({
        database: order.to,
        object,
        message,
        leaves: isBack
          ? `The rows are there, and the constraint is NOT VALID: it holds for new rows. ` +
            `${validate} once all rows fulfil it.`
          : `The rows are there, and this is missing: ${definition}.`,
      });
    }
  }
  return { rest, failures: relaxed };
}

/** CHECKs of a table and of its parents, of the domains of its columns, and what it computes. */
const obstaclesQuery = `
  WITH RECURSIVE up (relid) AS (
    SELECT pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text))::oid
    UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN up ON i.inhrelid = up.relid),
  typed (typid) AS (
    SELECT a.atttypid FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text))
       AND a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT part.typid FROM typed JOIN pg_catalog.pg_type t ON t.oid = typed.typid,
      LATERAL (VALUES (t.typbasetype), (t.typelem)) part (typid) WHERE part.typid <> 0)
  SELECT 'table' AS kind, k.conname::text AS name, k.conrelid::regclass::text AS owner,
         pg_catalog.pg_get_constraintdef(k.oid) AS definition
    FROM up JOIN pg_catalog.pg_constraint k ON k.conrelid = up.relid
   WHERE k.contype = 'c' AND k.coninhcount = 0
  UNION ALL
  SELECT 'domain', k.conname, pg_catalog.format_type(k.contypid, NULL),
         pg_catalog.pg_get_constraintdef(k.oid)
    FROM typed JOIN pg_catalog.pg_constraint k ON k.contypid = typed.typid
   WHERE k.contype = 'c'
  UNION ALL
  SELECT 'column', a.attname, up.relid::regclass::text,
         pg_catalog.pg_get_expr(d.adbin, d.adrelid)
    FROM up JOIN pg_catalog.pg_attribute a ON a.attrelid = up.relid
    JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attgenerated = 's' AND a.attinhcount = 0`;

/**
 * Takes away what a failure names; where it names nothing, all CHECKs, and when none is left, what
 * is computed.
 */
async function dropInTheWay(
  order: PhasedOrder,
  { entry, message }: ToolFailure,
  o: Abortable,
): Promise<Obstacle[]> {
  const { client, database } = order;
  const names = [entry?.schema ?? "", entry?.tag ?? ""];
  const all = await client.rows(database, obstaclesQuery, o, names);
  const checks = all.filter((row) => row["kind"] !== "column").map(obstacleOf);
  const columns = all.filter((row) => row["kind"] === "column").map(obstacleOf);
  const named = checks.filter(({ name }) => message.includes(`"${name}"`));
  const isNamed = /violates check constraint/.test(message);
  for (const some of [named, isNamed && named.length > 0 ? [] : checks, isNamed ? [] : columns]) {
    const dropped: Obstacle[] = [];
    for (const one of some) {
      if (await isDone(order, one.drop, o)) dropped.push(one);
    }
    if (dropped.length > 0) return dropped;
  }
  return [];
}

function obstacleOf(row: Row): Obstacle {
  const [kind, name, owner, definition] = ["kind", "name", "owner", "definition"]
    .map((key) => String(row[key]));
  if (kind === "column") {
    return {
      name: name!,
      object: `generated column ${name} of ${owner}`,
      drop: `ALTER TABLE ${owner} ALTER COLUMN ${quoteName(name!)} DROP EXPRESSION`,
      add: undefined,
      definition: `what is in ${name}, and that it is GENERATED ALWAYS AS (${definition}) STORED`,
      validate: "",
    };
  }
  const alter = `ALTER ${kind === "domain" ? "DOMAIN" : "TABLE"} ${owner}`;
  const mark = definition!.endsWith(" NOT VALID") ? "" : " NOT VALID";
  return {
    name: name!,
    object: `constraint ${name} of ${owner}`,
    drop: `${alter} DROP CONSTRAINT ${quoteName(name!)}`,
    add: `${alter} ADD CONSTRAINT ${quoteName(name!)} ${definition}${mark}`,
    definition: `CONSTRAINT ${quoteName(name!)} ${definition}`,
    validate: `${alter} VALIDATE CONSTRAINT ${quoteName(name!)}`,
  };
}

async function isDone(
  { client, database }: PhasedOrder,
  statement: string,
  o: Abortable,
): Promise<boolean> {
  try {
    await client.rows(database, statement, o);
    return true;
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    return false;
  }
}

function idsOf(entries: readonly TocEntry[]): ReadonlySet<number> {
  return new Set(entries.map(({ dumpId }) => dumpId));
}

function lateWarning(failures: readonly ToolFailure[]): string {
  const tables = failures.flatMap(({ entry }) => entry === undefined ? [] : objectOf(entry));
  return `The rows of ${tables.join(", ")} came after all others, which a constraint looks at ` +
    `(${
      reasonOf(failures[0]!)
    }). PostgreSQL takes a CHECK to look at its own row only; a trigger ` +
    "is what looks at others";
}

/** Without the row itself, which is nothing for logs. */
export function reasonOf({ message }: Pick<ToolFailure, "message">): string {
  return message.replace(/^COPY failed for table ".*?": /, "").split("; ")[0]!;
}
