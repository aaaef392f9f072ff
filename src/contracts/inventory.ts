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
  /** In whose name it runs, where the engine's dump says so: MySQL's DEFINER, `user@host`. */
  readonly owner?: string;
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

/**
 * Lets a restore pass whose differences are none that count.
 *
 * @param target the restored database, for people; where absent, each difference names its own
 * @throws BackupError `restore/incomplete`
 */
export function assertRestored(
  differences: readonly InventoryDifference[],
  { target, hint }: { readonly target?: string; readonly hint: string },
): void {
  const failures = differences.filter(({ isFailure }) => isFailure);
  const [first] = failures;
  if (first === undefined) return;
  const name = target === undefined ? `${first.database}.${first.name}` : first.name;
  const others = failures.length === 1 ? "" : `, and ${failures.length - 1} more`;
  throw new BackupError(
    "restore/incomplete",
    `${target === undefined ? "The target" : `"${target}"`} differs from the backup's inventory: ` +
      `${first.type} "${name}" ${problemText(first)}${others}`,
    { details: { differences: failures }, hint },
  );
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
