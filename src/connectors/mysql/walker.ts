import { BackupError } from "../../core/errors.ts";
import type { ArtifactFormat, Walker } from "../../contracts/format.ts";
import type { InventoryObject, ObjectType } from "../../contracts/inventory.ts";
import { needsOf } from "./foreign.ts";
import { mentions } from "./mention.ts";
import { createScanner, type PieceType } from "./scanner.ts";
import { structureError } from "./structure-error.ts";
import { type DumpedType, identify, type Statement } from "./statements.ts";

/** The format of dumps: SQL as `mysqldump` and `mariadb-dump` write it. */
export const dumpFormat: ArtifactFormat = { id: "mysqldump", suffix: "sql", walk };

/** The first line, or the one after MariaDB's sandbox line. */
const opening = /^-- (?:MySQL|MariaDB) dump /;
/** The last line, which a tool that fails does not write; the date falls to `--skip-dump-date`. */
const trailer = /^-- Dump completed(?: on \d{4}-\d\d-\d\d +\d{1,2}:\d\d:\d\d)?\r?\n$/;

/** Follows a dump to its last line, lists what it makes and counts the rows. */
export function walk(): Walker {
  const databases = new Map<string, Map<string, Counted>>();
  let current: Map<string, Counted> | undefined;
  let currentName = "";
  let currentType: PieceType = "blank";
  let table: Counted | undefined;
  let pieceBytes = 0;
  let isOpened = false;
  let isComplete = false;

  const scanner = createScanner({
    span(_, start, end) {
      pieceBytes += end - start;
    },
    known(type, head) {
      currentType = type;
      if (type === "blank") return;
      if (isComplete) throw structureError("goes on after its last line");
      if (type === "insert") table = take(head);
      else if (type === "comment") noteComment(head);
      else if (!isOpened) throw structureError('does not begin with "-- MySQL dump"');
      else if (type === "statement") note(identify(head), head);
    },
    end(rows) {
      const bytes = pieceBytes;
      pieceBytes = 0;
      if (currentType !== "insert" || table === undefined) return;
      table.bytes += bytes;
      if (rows === undefined) table.isExact = false;
      else table.count += rows;
    },
  });

  function noteComment(text: string): void {
    isOpened ||= opening.test(text);
    isComplete = trailer.test(text);
  }

  function note(statement: Statement, head: string): void {
    if (statement.does === "use" || statement.does === "create-database") {
      current = databases.get(statement.database) ?? new Map<string, Counted>();
      databases.set(statement.database, current);
      currentName = statement.database;
    } else if (statement.does === "create") {
      const { object, name } = statement;
      // Old tools stand in for a view with a table, until its own turn comes.
      if (object === "view") current?.delete(key("table", name));
      const counted = add(object, name);
      if (statement.isVersioned) counted.isVersioned = true;
      // Triggers of a dump have their own database in front of their names.
      if (object !== "table" && mentions(behindNames(head, statement), currentName)) {
        counted.namesDatabase = true;
      }
      counted.owner ??= statement.definer;
      // A view's stand-in says nothing of what the view needs.
      if (!statement.isStub) counted.needs = needsOf(head);
    }
  }

  function take(name: string): Counted {
    return current?.get(key("table", name)) ?? current?.get(key("sequence", name)) ??
      add("table", name);
  }

  function add(object: DumpedType, name: string): Counted {
    if (current === undefined) throw structureError(`makes "${name}" before it names a database`);
    const known = current.get(key(object, name));
    if (known !== undefined) return known;
    const added: Counted = {
      object,
      name,
      count: 0,
      bytes: 0,
      isExact: true,
      isVersioned: false,
      namesDatabase: false,
      owner: undefined,
      needs: [],
    };
    current.set(key(object, name), added);
    return added;
  }

  return {
    push: scanner.push,
    end() {
      if (!isComplete || !scanner.isBetweenPieces()) throw truncated();
      return {
        databases: [...databases].map(([database, objects]) => ({
          database,
          objects: [...objects.values()].map(asObject),
        })),
      };
    },
  };
}

interface Counted {
  readonly object: DumpedType;
  readonly name: string;
  count: number;
  /** Of its INSERT statements. */
  bytes: number;
  isExact: boolean;
  /** Rows of the past may be in the dump, which a plain count of the table does not see. */
  isVersioned: boolean;
  namesDatabase: boolean;
  owner: string | undefined;
  needs: readonly string[];
}

/** Triggers, functions, procedures and tables have names of their own kind each. */
function key(object: DumpedType, name: string): string {
  return `${object} ${name}`;
}

function asObject(counted: Counted): InventoryObject {
  const { object, name, count, bytes, isExact, isVersioned, namesDatabase, owner } = counted;
  const needs = counted.needs.length === 0 ? {} : { needs: counted.needs };
  if (object !== "table") {
    return {
      type: typeOf(object),
      name,
      ...owner === undefined ? {} : { owner },
      ...namesDatabase ? { namesDatabase } : {},
      ...needs,
    };
  }
  return { type: "table", name, count, isExact: isExact && !isVersioned, bytes, ...needs };
}

/** What is behind the qualifiers that a restore changes. A long text has only its beginning. */
function behindNames(head: string, { qualifiers }: Extract<Statement, { does: "create" }>): string {
  return head.slice(Math.max(0, ...qualifiers.map(({ end }) => end)));
}

/** A function and a procedure of one name are two routines. */
function typeOf(object: Exclude<DumpedType, "table">): ObjectType {
  return object === "function" || object === "procedure" || object === "package"
    ? "routine"
    : object;
}

function truncated(): BackupError {
  return new BackupError(
    "verification/truncated",
    'The SQL dump ends before its last line, "-- Dump completed"',
    { hint: "The dump is incomplete; use another backup." },
  );
}
