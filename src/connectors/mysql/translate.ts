import { callArguments, findForeign, type Foreign, type ForeignKind } from "./foreign.ts";
import { nearestCollation } from "./collations.ts";
import { compareVersions, type Server } from "./server.ts";
import { tokenize } from "./tokens.ts";

/** A text to put in the place of another, in characters. */
export interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** What becomes of something foreign on a server. */
export type Fate =
  /** The server takes it as it is. */
  | { readonly type: "kept" }
  /** It is replaced. @param says what that means, as the end of a sentence; undefined: nothing */
  | { readonly type: "changed"; readonly text: string; readonly says: string | undefined }
  /** The server cannot have it: its object cannot be made. */
  | { readonly type: "refused" };

/** The target of a restore across flavours. */
export interface Abroad {
  readonly server: Server;
  /** Collations that it knows. */
  readonly collations: ReadonlySet<string>;
}

/** What to change in a statement of a dump of one flavour for the other. */
export function translate(head: string, to: Abroad): Replacement[] {
  return findForeign(head).flatMap((foreign) => {
    const { start, end } = foreign;
    const fate = fateOf(foreign, to, head.slice(start, end));
    return fate.type === "changed" ? [{ start, end, text: fate.text }] : [];
  });
}

/** A text with what {@link translate} says. */
export function translated(text: string, to: Abroad): string {
  return replaced(text, translate(text, to));
}

/** A text with others in it, which are given in their order. */
export function replaced(text: string, replacements: readonly Replacement[]): string {
  return replacements.reduceRight(
    (whole, { start, end, text }) => whole.slice(0, start) + text + whole.slice(end),
    text,
  );
}

/**
 * Decides about one thing.
 *
 * @param text as it stands in the dump
 */
export function fateOf(
  { kind, name }: Pick<Foreign, "kind" | "name">,
  to: Abroad,
  text = "",
): Fate {
  if (kind === "collation") return collationFate(name, to);
  return to.server.flavour === "MySQL"
    ? onMysql(kind, name, text)
    : onMariadb(kind, name, text, to);
}

const kept: Fate = { type: "kept" };
const refused: Fate = { type: "refused" };

function changed(text: string, says?: string): Fate {
  return { type: "changed", text, says };
}

function collationFate(name: string, { collations }: Abroad): Fate {
  // MariaDB may leave the character set out of a collation's name.
  const full = name.startsWith("uca1400_") ? `utf8mb4_${name}` : name;
  if (collations.has(full)) return kept;
  const nearest = nearestCollation(full, collations);
  return nearest === undefined ? refused : changed(nearest, `becomes ${nearest}`);
}

function onMysql(kind: ForeignKind, name: string, text: string): Fate {
  switch (kind) {
    case "type":
      if (name === "uuid") return changed("char(36) CHARACTER SET ascii", "becomes char(36)");
      if (name === "inet6") {
        return changed("varchar(39) CHARACTER SET ascii", "becomes varchar(39)");
      }
      if (name === "inet4") {
        return changed("varchar(15) CHARACTER SET ascii", "becomes varchar(15)");
      }
      return kept;
    case "default":
      return changed(`(${text})`);
    case "ignored key":
      return changed("INVISIBLE");
    case "table option":
      return changed("");
    case "sql mode":
      return changed(withoutModes(text, mariadbModes));
    case "system versioning":
    case "period":
    case "sequence":
      return refused;
    default:
      return kept;
  }
}

function onMariadb(kind: ForeignKind, name: string, text: string, to: Abroad): Fate {
  const { server } = to;
  switch (kind) {
    case "charset":
      return changed("utf8mb4");
    case "type":
      if (name === "geomcollection") return changed("geometrycollection");
      return name === "vector" && compareVersions(server.version, "11.7", 2) < 0 ? refused : kept;
    case "key of an expression":
    case "check that is not enforced":
      return changed("", "is left out");
    case "parser":
      return changed("", "gives way to the built-in one");
    case "secondary engine":
      return changed("");
    case "pattern":
      return changed(asRlike(text, to));
    case "sql mode":
      return changed(withoutModes(text, mysqlModes));
    case "introducer":
      // MariaDB 10.11 forgets to escape such strings when it keeps an expression: _utf8mb4'\\'
      // swallows what follows. A dump's strings are utf8mb4 without it, too.
      return changed("");
    case "invisible":
      return { type: "changed", text, says: "columns and keys become visible" };
    case "encryption":
      return { type: "changed", text, says: "is left out" };
    case "function":
    case "lateral":
      return refused;
    default:
      return kept;
  }
}

/** `regexp_like(a, b)`, which MariaDB has as an operator, with what is in it translated. */
function asRlike(text: string, to: Abroad): string {
  const [value = "", pattern = ""] = callArguments(tokenize(text, Infinity), 1)
    .map(({ start, end }) => translated(text.slice(start, end), to));
  return `((${value}) rlike (${pattern}))`;
}

// Modes without meaning for what is in a dump.
const mariadbModes = /^(?:NO_AUTO_CREATE_USER|NO_FIELD_OPTIONS|NO_KEY_OPTIONS|NO_TABLE_OPTIONS)$/;
const mysqlModes = /^TIME_TRUNCATE_FRACTIONAL$/;

/** @param text a list of modes in quotes */
function withoutModes(text: string, unknown: RegExp): string {
  return `'${text.slice(1, -1).split(",").filter((mode) => !unknown.test(mode)).join(",")}'`;
}
