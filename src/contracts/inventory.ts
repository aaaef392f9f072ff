import { BackupError } from "../core/errors.ts";

/** What kind of thing an {@link InventoryObject} is, in the words of its engine. */
export type ObjectType =
  | "table"
  | "view"
  | "materialized-view"
  | "sequence"
  | "routine"
  | "trigger"
  | "event"
  | "index"
  | "type"
  | "extension"
  | "large-objects"
  | "collection";

/** One object inside a database. */
export interface InventoryObject {
  readonly type: ObjectType;
  /** PostgreSQL's schema; absent where the engine has none. */
  readonly schema?: string;
  /** The plain name, unquoted. */
  readonly name: string;
  /** Rows, documents or, for large objects, how many there are. */
  readonly count?: number;
  /** Whether `count` is exact for the bytes of the dump; an inexact one is never a failure. */
  readonly isExact?: boolean;
  /** Bytes of its rows or documents in the dump, uncompressed; only told, never compared. */
  readonly bytes?: number;
  /** Whether the server removes its rows or documents when their time has passed: never exact. */
  readonly expires?: boolean;
  /** In whose name it runs, where the engine's dump says so: MySQL's DEFINER, `user@host`. */
  readonly owner?: string;
  /** True where its text names its own database: in a copy it still points into the original. */
  readonly namesDatabase?: boolean;
  /** What a server must have to make it, that not every one of its kind has: `type uuid`. */
  readonly needs?: readonly string[];
}

/** What a database holds: described from the dumped bytes or in the dump's own snapshot. */
export interface DatabaseInventory {
  readonly database: string;
  readonly objects: readonly InventoryObject[];
}

/** The inventory of a backup or of a live target; an artifact of its own. */
export interface Inventory {
  readonly databases: readonly DatabaseInventory[];
}

/** One difference between what a backup holds and what a restore made. */
export interface InventoryDifference {
  readonly database: string;
  readonly type: ObjectType;
  /** With its schema, dotted, for people. */
  readonly name: string;
  readonly problem: "missing" | "count" | "extra";
  readonly expected?: number;
  readonly found?: number;
  /** Missing objects and different exact counts are failures; the rest is only told. */
  readonly isFailure: boolean;
}

/**
 * Compares what a backup says it holds with what is there after a restore. Databases are compared by
 * position in `pairs`, so that a database restored under another name compares too.
 *
 * @param pairs expected and found, for each restored database
 */
export function compareInventories(
  pairs: readonly { expected: DatabaseInventory; found: DatabaseInventory }[],
): InventoryDifference[] {
  return pairs.flatMap(({ expected, found }) => compareDatabases(expected, found));
}

/** A database that a restore left under a name of its own, instead of dropping what it had made. */
export interface RestoreLeftover {
  /** Its name in the backup. */
  readonly from: string;
  /** The name that it was meant to get. */
  readonly to: string;
  /** The name, or path, that it has now; the same as `to` where the engine cannot rename. */
  readonly name: string;
}

/** The details of `restore/incomplete`. */
export interface IncompleteDetails {
  readonly differences: readonly InventoryDifference[];
  /** Where what was restored is now; `restore … --accept-differences` takes it as it is. */
  readonly left: readonly RestoreLeftover[];
}

/**
 * Lets a restore pass whose differences are none that count, or are accepted.
 *
 * @param o.target the restored database, for people; where absent, each difference names its own
 * @param o.left where what was restored is, and stays: a difference drops nothing
 * @throws BackupError `restore/incomplete`, with {@link IncompleteDetails}
 */
export function assertRestored(
  differences: readonly InventoryDifference[],
  { target, left, isAccepted }: {
    readonly target?: string;
    readonly left: readonly RestoreLeftover[];
    /** RestoreOptions.isDifferenceAccepted. */
    readonly isAccepted: boolean;
  },
): void {
  const failures = differences.filter(({ isFailure }) => isFailure);
  const [first] = failures;
  if (first === undefined || isAccepted) return;
  const name = target === undefined ? `${first.database}.${first.name}` : first.name;
  const others = failures.length === 1 ? "" : `, and ${failures.length - 1} more`;
  const details: IncompleteDetails = { differences: failures, left };
  throw new BackupError(
    "restore/incomplete",
    `${target === undefined ? "The target" : `"${target}"`} differs from the backup's inventory: ` +
      `${first.type} "${name}" ${problemText(first)}${others}`,
    { details: { ...details }, hint: leftHint(left) },
  );
}

function leftHint(left: readonly RestoreLeftover[]): string {
  const places = left.map(({ to, name }) =>
    name === to ? `"${name}" holds what was restored` : `What was restored for "${to}" is "${name}"`
  );
  return [...places, "Look at it, then take it as it is with --accept-differences"].join(". ") +
    ".";
}

function problemText({ problem, expected, found }: InventoryDifference): string {
  if (problem === "count") return `holds ${found} instead of ${expected}`;
  return problem === "missing" ? "is missing" : "is extra";
}

/** `schema.name`, or the name alone where there is no schema. */
export function objectName(object: InventoryObject): string {
  return object.schema === undefined ? object.name : `${object.schema}.${object.name}`;
}

function compareDatabases(
  expected: DatabaseInventory,
  found: DatabaseInventory,
): InventoryDifference[] {
  const differences: InventoryDifference[] = [];
  // Several may be alike: MySQL's functions and procedures share names.
  const present = Map.groupBy(found.objects, identity);
  for (const object of expected.objects) {
    const other = present.get(identity(object))?.shift();
    const base = { database: found.database, type: object.type, name: objectName(object) };
    if (other === undefined) {
      differences.push({ ...base, problem: "missing", isFailure: true });
    } else if (object.count !== undefined && other.count !== undefined) {
      if (object.count === other.count) continue;
      const isFailure = object.isExact === true && other.isExact === true;
      const counts = { expected: object.count, found: other.count };
      differences.push({ ...base, problem: "count", ...counts, isFailure });
    }
  }
  for (const object of [...present.values()].flat()) {
    const name = objectName(object);
    const base = { database: found.database, type: object.type, name };
    differences.push({ ...base, problem: "extra", isFailure: false });
  }
  return differences;
}

function identity(object: InventoryObject): string {
  return JSON.stringify([object.type, object.schema ?? null, object.name]);
}
