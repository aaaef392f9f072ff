import type { Abortable } from "../../core/bytes.ts";
import type { RestoreFailure } from "../../contracts/connector.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import type { Client } from "./client.ts";
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

interface Constraint {
  readonly name: string;
  /** Quoted, with its schema. */
  readonly relation: string;
  readonly definition: string;
}

async function relax(order: PhasedOrder, failures: readonly ToolFailure[], o: Abortable) {
  const rest: ToolFailure[] = [];
  const relaxed: RestoreFailure[] = [];
  for (const failure of failures) {
    const dropped: Constraint[] = [];
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
    for (const constraint of dropped) {
      const { name, relation } = constraint;
      const isBack = await isMadeAgain(order, constraint, o);
      // With its rows gone all the same, that is what is told.
      if (last !== undefined && isBack) continue;
      relaxed.push({
        database: order.to,
        object: `constraint ${name} of ${relation}`,
        message,
        leaves: isBack
          ? `The rows are there, and the constraint is NOT VALID: it holds for new rows. ALTER ` +
            `TABLE ${relation} VALIDATE CONSTRAINT ${quoteName(name)} once all rows fulfil it.`
          : `The rows are there, and the constraint is missing: ${constraint.definition}.`,
      });
    }
  }
  return { rest, failures: relaxed };
}

/** Takes away the CHECK that a failure names; all of its table where it names none. */
async function dropInTheWay(
  { client, database }: PhasedOrder,
  { entry, message }: ToolFailure,
  o: Abortable,
): Promise<Constraint[]> {
  const rows = await client.rows(
    database,
    `WITH RECURSIVE up (relid) AS (
       SELECT pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text))::oid
       UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN up ON i.inhrelid = up.relid)
     SELECT k.conname AS name, k.conrelid::regclass::text AS relation,
            pg_catalog.pg_get_constraintdef(k.oid) AS definition
       FROM up JOIN pg_catalog.pg_constraint k ON k.conrelid = up.relid
      WHERE k.contype = 'c' AND k.coninhcount = 0`,
    o,
    [entry?.schema ?? "", entry?.tag ?? ""],
  );
  const all = rows.map((row): Constraint => ({
    name: String(row["name"]),
    relation: String(row["relation"]),
    definition: String(row["definition"]),
  }));
  const named = all.filter(({ name }) => message.includes(`"${name}"`));
  const found = named.length > 0 ? named : all;
  const dropped: Constraint[] = [];
  for (const constraint of found) {
    const { name, relation } = constraint;
    try {
      await client.rows(database, `ALTER TABLE ${relation} DROP CONSTRAINT ${quoteName(name)}`, o);
      dropped.push(constraint);
    } catch (error) {
      if (sqlState(error) === undefined) throw error;
    }
  }
  return dropped;
}

async function isMadeAgain(
  { client, database }: PhasedOrder,
  { name, relation, definition }: Constraint,
  o: Abortable,
): Promise<boolean> {
  const mark = definition.endsWith(" NOT VALID") ? "" : " NOT VALID";
  try {
    await client.rows(
      database,
      `ALTER TABLE ${relation} ADD CONSTRAINT ${quoteName(name)} ${definition}${mark}`,
      o,
    );
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
