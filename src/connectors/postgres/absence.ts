import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import { archived, worthTelling } from "./lost.ts";
import { schemaOfExtension } from "./schemas.ts";
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
  /** Whether something that is not in the archive is missed, whatever can be done about it. */
  isOfAbsent(failure: ToolFailure): boolean;
  /** A choice of the archive's entries without what was noted so far. */
  without(ids: ReadonlySet<number> | undefined): ReadonlySet<number> | undefined;
  warnings(): string[];
}

/** What others need, and what holds rows: without them the backup would not be restored. */
const needed = [
  ...["SEQUENCE", "SEQUENCE SET", "BLOB", "BLOBS", "BLOB METADATA", "SCHEMA"],
];

/** What a restore may leave out, and what need not be made. */
export interface AbsenceTerms {
  /** Dump ids of what the database has already. */
  readonly there: ReadonlySet<number>;
  /** Tables, dotted, that the job accepted to be lost with their rows. */
  readonly unrestorable: ReadonlySet<string>;
  /** Whether the backup lacks something on purpose. */
  readonly isPartial: boolean;
}

/** Makes an {@link Absence} for one restore of an archive. */
export function absenceOf(
  { entries }: ArchiveHead,
  { there, unrestorable, isPartial }: AbsenceTerms,
): Absence {
  const byId = new Map(entries.map((entry) => [entry.dumpId, entry]));
  const names = new Set(entries.flatMap(namesOf));
  const { users, hasRows } = archived(entries);
  /** What is absent, as people are told, with what needs it. */
  const causes = new Map<string, TocEntry[]>();
  const absent = new Set<string>();
  const left = new Set<number>();
  const unchecked = new Set<TocEntry>();
  const leftNames = new Set<string>();
  const circular: TocEntry[] = [];
  const extensions = entries.filter(({ description }) => description === "EXTENSION");
  let isExtensionMissing = false;

  function leave(entry: TocEntry): void {
    left.add(entry.dumpId);
    namesOf(entry).forEach((name) => leftNames.add(name));
    for (const other of users(entry)) {
      if (left.has(other.dumpId) || !goesWith(other, entry)) continue;
      leave(other);
    }
  }

  /** Without its rows it is not what was backed up. */
  function leaveTableOf(rows: TocEntry): void {
    const table = entries.find((one) =>
      one.description === "TABLE" && one.schema === rows.schema && one.tag === rows.tag
    );
    if (table !== undefined) leave(table);
  }

  /** What may be made all the same fails by itself where it cannot. */
  function goesWith(other: TocEntry, { description }: TocEntry): boolean {
    if (other.description === "TABLE DATA" || other.description === "SEQUENCE SET") return true;
    if (other.description === "SEQUENCE") return description === "TABLE";
    return !isKept(other) && !foundations.includes(other.description);
  }

  function isKept(entry: TocEntry): boolean {
    // They may be loaded through another table.
    if (entry.description === "TABLE DATA") return !unrestorable.has(dotted(entry));
    if (needed.includes(entry.description)) return true;
    return entry.description === "TABLE" && hasRows(entry) && !unrestorable.has(dotted(entry));
  }

  function isUnchecked({ description, dependencies }: TocEntry, message: string): boolean {
    return description === "FK CONSTRAINT" && / violates foreign key constraint /.test(message) &&
      dependencies.some((id) => {
        const one = byId.get(id);
        return one?.description === "TABLE" && !hasRows(one);
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

  /** Whether nothing in the archive makes it: nor an extension, whose objects have no names here. */
  function isAbsent({ kind, name }: MissingName): boolean {
    if (leftNames.has(name)) return true;
    if (kind === "extension") return !extensions.some(({ tag }) => tag === name);
    if (names.has(name)) return false;
    // A newer version of an extension may not have what an older one had: that is for people to see.
    return isPartial || kind === "relation" ||
      !extensions.some((one) => name.startsWith(`${schemaOfExtension(one) ?? "public"}.`));
  }

  return {
    left,
    unchecked,
    explains({ entry, message }) {
      // Several workers do not say that an owner is given to what could not be made.
      if (entry === undefined) {
        const missing = missingName(message);
        return isOfLeft(message) || missing !== undefined && absent.has(missing.name);
      }
      if (left.has(entry.dumpId)) return true;
      if (isUnchecked(entry, message)) {
        unchecked.add(entry);
        return true;
      }
      const missing = missingName(message);
      // CREATE OR REPLACE VIEW makes such a one, which nobody can select from, and no other does.
      const isOfItself = missing !== undefined && entry.description === "VIEW" &&
        namesOf(entry).includes(missing.name);
      if (isOfItself) {
        circular.push(entry);
        leave(entry);
        return true;
      }
      const isExplained = missing !== undefined && isAbsent(missing);
      // Its relations and types are in no archive.
      if (entry.description === "EXTENSION" && !isExplained) isExtensionMissing = true;
      if (isExtensionMissing || isKept(entry) || !isExplained) return false;
      absent.add(missing.name);
      // What was left out itself is told as that.
      if (!leftNames.has(missing.name)) {
        const what = missing.kind === "plain" ? `${missing.what} ${missing.name}` : missing.name;
        causes.set(what, [...causes.get(what) ?? [], entry]);
      }
      leave(entry);
      if (entry.description === "TABLE DATA") leaveTableOf(entry);
      return true;
    },
    isOfAbsent({ message }) {
      const missing = missingName(message);
      return missing !== undefined && isAbsent(missing);
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
      const selves = circular.map((entry) =>
        `${objectOf(entry)} selects from itself, as no new view can, and is left out`
      );
      const direct = [...causes].map(([name, users]) =>
        `${name} is not in the backup, and so what uses it is left out: ` +
        worthTelling(new Set(users)).map(toldAs).join(", ")
      );
      const known = new Set([...circular, ...[...causes.values()].flat()]);
      const all = new Set([...left].map((id) => byId.get(id)!));
      const others = worthTelling(all).filter((one) => !known.has(one));
      return others.length === 0 ? [...selves, ...direct] : [
        ...selves,
        ...direct,
        `What needs those is left out, too: ${others.map(toldAs).join(", ")}`,
      ];
    },
  };

  function toldAs(entry: TocEntry): string {
    const isWithRows = entry.description === "TABLE" && hasRows(entry);
    return isWithRows ? `${objectOf(entry)} with its rows` : objectOf(entry);
  }
}

/** What tables are made of; they tell by failing that they cannot be made without one. */
const foundations = ["TABLE", "FOREIGN TABLE", "TYPE", "SHELL TYPE", "DOMAIN"];

function dotted({ schema, tag }: TocEntry): string {
  return `${schema}.${tag}`;
}

interface MissingName {
  readonly kind: "extension" | "plain" | "relation" | "dotted";
  /** `schema`, `server`; only of what is plain. */
  readonly what: string;
  /** Quotes left out; a function without its arguments. */
  readonly name: string;
}

/** The server's words for what it does not find; what could have a schema is told with it. */
const missingKinds: readonly { readonly kind: MissingName["kind"]; readonly is: RegExp }[] = [
  { kind: "extension", is: /required extension "(.+?)" is not installed/ },
  { kind: "relation", is: /\brelation "(.+?)" does not exist/ },
  {
    kind: "dotted",
    is: new RegExp(
      "\\b(?:type|operator class|operator family|collation|text search \\w+) " +
        '"(.+?)"(?: for [^;]+?)? does not exist',
    ),
  },
  { kind: "dotted", is: /\btype (\S+) does not exist/ },
  { kind: "dotted", is: /\b(?:function|procedure|aggregate) ([^;]+?)\([^;]*?\) does not exist/ },
  { kind: "dotted", is: /\boperator does not exist: [^;]*?(\S+\.[-+*/<>=~!@#%^&|`?]+)(?: |$|;)/ },
  {
    kind: "plain",
    is: /\b(schema|language|server|access method|foreign-data wrapper) "(.+?)" does not exist/,
  },
];

/** What the server did not find. */
function missingName(message: string): MissingName | undefined {
  for (const { kind, is } of missingKinds) {
    const found = is.exec(message) ?? [];
    const name = found.at(-1)?.replace(/(\[\])+$/, "").replaceAll('"', "");
    if (name === undefined || kind !== "plain" && kind !== "extension" && !name.includes(".")) {
      continue;
    }
    return { kind, name, what: found[1]! };
  }
  return undefined;
}

/** The names that the server may call an entry by, quotes left out. */
function namesOf({ schema, tag, description }: TocEntry): string[] {
  const plain = tag.replaceAll('"', "");
  if (schema === undefined) return [plain];
  // `TABLE CONSTRAINT`: either may hold spaces.
  const parts = description === "CONSTRAINT"
    ? [...plain.matchAll(/ /g)].map(({ index }) => plain.slice(index + 1))
    : [];
  const routine = ["FUNCTION", "PROCEDURE", "AGGREGATE"].includes(description)
    ? [plain.replace(/\([^(]*$/, "")]
    : [];
  return [plain, ...parts, ...routine].map((name) => `${schema.replaceAll('"', "")}.${name}`);
}
