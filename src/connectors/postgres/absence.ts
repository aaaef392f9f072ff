import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import { objectOf, type ToolFailure } from "./tool-failure.ts";

/**
 * What of an archive cannot be made of it. pg_dump leaves a table out, but not the views, foreign
 * keys, rules and functions that use it, and notes no dependency on what is not in the archive: only
 * the server tells.
 */
export interface Absence {
  /** Dump ids of what was left out: it needs what is not in the archive, or others that do. */
  readonly left: ReadonlySet<number>;
  /** Foreign keys to rows that are not in the archive. */
  readonly unchecked: ReadonlySet<TocEntry>;
  /** Whether a failure comes of something that is not in the archive; if so, it is noted. */
  explains(failure: ToolFailure): boolean;
  /** A choice of the archive's entries without what was noted so far. */
  without(ids: ReadonlySet<number> | undefined): ReadonlySet<number> | undefined;
  warnings(): string[];
}

/** These hold rows, or others that do need them: without them the backup would not be restored. */
const needed = [
  ...["TABLE", "TABLE DATA", "FOREIGN TABLE", "SEQUENCE", "SEQUENCE SET", "BLOB", "BLOBS"],
  ...["BLOB METADATA", "SCHEMA", "EXTENSION", "TYPE", "SHELL TYPE", "DOMAIN"],
];

/**
 * Makes an {@link Absence} for one restore of an archive.
 *
 * @param there dump ids of what the database has already
 */
export function absenceOf({ entries }: ArchiveHead, there: ReadonlySet<number>): Absence {
  const byId = new Map(entries.map((entry) => [entry.dumpId, entry]));
  const names = new Set(entries.flatMap(namesOf));
  const withRows = new Set(
    entries.filter(({ hasData }) => hasData).map(({ schema, tag }) =>
      JSON.stringify([schema, tag])
    ),
  );
  const causes = new Map<string, TocEntry[]>();
  const left = new Set<number>();
  const unchecked = new Set<TocEntry>();
  let isExtensionMissing = false;

  function leave(entry: TocEntry): void {
    left.add(entry.dumpId);
    for (const other of entries) {
      if (left.has(other.dumpId) || needed.includes(other.description)) continue;
      if (other.dependencies.includes(entry.dumpId)) leave(other);
    }
  }

  function isUnchecked({ description, dependencies }: TocEntry, message: string): boolean {
    return description === "FK CONSTRAINT" && / violates foreign key constraint /.test(message) &&
      dependencies.some((id) => {
        const one = byId.get(id);
        return one?.description === "TABLE" && !withRows.has(JSON.stringify([one.schema, one.tag]));
      });
  }

  function isOfLeft(message: string): boolean {
    const said = message.replaceAll('"', "");
    return [...left].some((id) => {
      const { schema, tag } = byId.get(id)!;
      return schema !== undefined &&
        said.endsWith(` ${schema}.${tag} does not exist`.replaceAll('"', ""));
    });
  }

  return {
    left,
    unchecked,
    explains({ entry, message }) {
      // Several workers do not say that an owner is given to what could not be made.
      if (entry === undefined) {
        return isOfLeft(message) || causes.has(missingName(message) ?? "");
      }
      if (left.has(entry.dumpId)) return true;
      if (isUnchecked(entry, message)) {
        unchecked.add(entry);
        return true;
      }
      // Its relations and types are in no archive.
      if (entry.description === "EXTENSION") isExtensionMissing = true;
      if (isExtensionMissing || needed.includes(entry.description)) return false;
      const name = missingName(message);
      if (name === undefined || !name.includes(".") || names.has(name)) return false;
      causes.set(name, [...causes.get(name) ?? [], entry]);
      leave(entry);
      return true;
    },
    without(ids) {
      if (left.size + unchecked.size + there.size === 0) return ids;
      const rest = new Set(ids ?? byId.keys());
      for (const id of there) rest.delete(id);
      for (const id of left) rest.delete(id);
      for (const { dumpId } of unchecked) rest.delete(dumpId);
      return rest;
    },
    warnings() {
      const direct = [...causes].map(([name, users]) =>
        `${name} is not in the backup, and so what uses it is left out: ` +
        users.map(objectOf).join(", ")
      );
      const known = new Set([...causes.values()].flat());
      const others = [...left].map((id) => byId.get(id)!).filter((one) =>
        !known.has(one) && isTold(one)
      );
      return others.length === 0
        ? direct
        : [...direct, `What needs those is left out, too: ${others.map(objectOf).join(", ")}`];
    },
  };
}

/** What the server did not find, with its schema. */
function missingName(message: string): string | undefined {
  const [, quoted, plain] =
    /\b(?:relation|type) (?:"([^"]+(?:"[^ ]+)*)"|(\S+)) does not exist/.exec(message) ?? [];
  return (quoted ?? plain)?.replace(/(\[\])+$/, "").replaceAll('"', "");
}

/** What has no name of its own goes without saying. */
function isTold({ description }: TocEntry): boolean {
  return !["COMMENT", "ACL", "SECURITY LABEL", "MATERIALIZED VIEW DATA", "STATISTICS DATA"]
    .includes(description);
}

/** The names that the server may call an entry by, quotes left out. */
function namesOf({ schema, tag, description }: TocEntry): string[] {
  if (schema === undefined) return [];
  const plain = tag.replaceAll('"', "");
  // `TABLE CONSTRAINT`: either may hold spaces.
  const parts = description === "CONSTRAINT"
    ? [...plain.matchAll(/ /g)].map(({ index }) => plain.slice(index + 1))
    : [];
  return [plain, ...parts].map((name) => `${schema.replaceAll('"', "")}.${name}`);
}
