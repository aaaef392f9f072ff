import type { Document, LineCounter, Node } from "yaml";
import type { ConnectorKind } from "../contracts/connector.ts";
import type { StorageKind } from "../contracts/storage.ts";
import { BackupError } from "../core/errors.ts";
import { counted, nearest } from "../core/text.ts";
import { kindNamed } from "../registry.ts";
import { DatabaseDeclaration, DestinationDeclaration } from "../contracts/declare.ts";
import { type ConfigPath, describeFound, type Locate, type Problem } from "./problems.ts";
import { unknownName } from "./problems.ts";
import { readConfigFile } from "./read-file.ts";
import { commandReference, isPlainObject, parseReferences } from "./references.ts";

/** A config file as it was read, before any check. */
export interface RawConfig {
  readonly value: unknown;
  readonly locate: Locate;
  /** What is wrong with the file's own way of saying things. */
  readonly problems: readonly Problem[];
}

/**
 * Reads `backup.config.yaml` into what `backup.config.ts` would export: `type:` becomes the factory,
 * `${X}` a reference.
 *
 * @throws BackupError `config/syntax`, `config/unreadable`
 */
export async function loadYaml(
  path: string,
  kinds: { connectors: readonly ConnectorKind[]; storages: readonly StorageKind[] },
): Promise<RawConfig> {
  const text = await readConfigFile(path);
  const { LineCounter, parseDocument } = await import("yaml");
  const lineCounter = new LineCounter();
  // Merge keys (`<<`) let jobs share settings by anchors, as people expect of YAML.
  const document = resolving(
    path,
    () => parseDocument(text, { lineCounter, prettyErrors: false, merge: true }),
  );
  if (document.errors.length > 0) throw syntaxError(path, document, lineCounter);
  const problems: Problem[] = [];
  const value = resolving(path, () => withReferences(document.toJS(), [], problems));
  if (isPlainObject(value)) {
    // The home of anchors, as in compose files; what they hold is checked where it is used.
    for (const key of Object.keys(value)) if (key.startsWith("x-")) delete value[key];
    value["databases"] = declared(value["databases"], ["databases"], problems, (type, options) => {
      const kind = kindNamed(type, kinds.connectors);
      return kind === undefined ? undefined : new DatabaseDeclaration(kind, options);
    }, kinds.connectors);
    value["destinations"] = declared(
      value["destinations"],
      ["destinations"],
      problems,
      (type, options) => {
        const kind = kindNamed(type, kinds.storages);
        return kind === undefined ? undefined : new DestinationDeclaration(kind, options);
      },
      kinds.storages,
    );
  }
  return { value, problems, locate: (path) => locateIn(document, path, lineCounter) };
}

/**
 * What aliases can do: name an anchor that is not there, multiply without bound ("a billion laughs"),
 * and contain themselves.
 */
function resolving<T>(path: string, use: () => T): T {
  try {
    return use();
  } catch (cause) {
    const text = cause instanceof RangeError
      ? "it is nested too deeply, or an alias contains itself"
      : /Excessive alias count/.test(String(cause))
      ? "its aliases multiply without bound"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new BackupError("config/syntax", `Cannot read the config "${path}": ${text}`, {
      cause,
      hint: "Correct its anchors (&name) and aliases (*name).",
    });
  }
}

function syntaxError(path: string, document: Document, lines: LineCounter): BackupError {
  const places = document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0]);
    return `  line ${line}, column ${col}: ${wordsFor[error.code] ?? error.message}`;
  });
  const more = places.length - mostPlaces;
  if (more > 0) places.splice(mostPlaces, more, `  and ${counted(more, "more problem")}`);
  return new BackupError(
    "config/syntax",
    `The config "${path}" is not valid YAML:\n${places.join("\n")}`,
    { hint: "Correct the file; texts with special characters go into quotes." },
  );
}

// One mistake can make every line after it look wrong.
const mostPlaces = 10;

/** Where the parser's own words are for programmers. */
const wordsFor: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: "A second document begins here, and a config is one",
};

// Nothing in a config is nearly as deep; an alias that contains itself has no end.
const mostLevels = 64;

function withReferences(value: unknown, path: ConfigPath, problems: Problem[]): unknown {
  if (path.length > mostLevels) throw new RangeError("Too deep");
  if (typeof value === "string") {
    const { value: text, wrong } = parseReferences(value);
    if (wrong === undefined) return text;
    const expected =
      "${NAME}, ${NAME:-default}, ${file:PATH} or ${command:LINE}; $${ stands for a plain ${";
    problems.push({ path, found: `the reference ${wrong}`, expected });
    return value;
  }
  if (Array.isArray(value)) {
    return value.map((one, index) => withReferences(one, [...path, index], problems));
  }
  if (isPlainObject(value)) {
    const secret = commandReference(value);
    if (secret !== undefined) return secret;
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [
        key,
        withReferences(one, [...path, key], problems),
      ]),
    );
  }
  return value;
}

/** Turns each `{ type, …options }` into a declaration; what cannot be turned stays as it is. */
function declared(
  section: unknown,
  path: ConfigPath,
  problems: Problem[],
  declare: (type: string, options: unknown) => unknown,
  kinds: readonly { readonly kind: string; readonly schemes: readonly string[] }[],
): unknown {
  const known = kinds.map(({ kind }) => kind);
  if (!isPlainObject(section)) return section;
  const result: [string, unknown][] = [];
  for (const [name, entry] of Object.entries(section)) {
    const here = [...path, name];
    if (!isPlainObject(entry)) {
      problems.push({
        path: here,
        found: describeFound(entry, true),
        expected: "an object with a type",
      });
      result.push([name, entry]);
      continue;
    }
    const { type, ...options } = entry;
    const declaration = typeof type === "string" ? declare(type, options) : undefined;
    result.push([name, declaration ?? entry]);
    if (declaration !== undefined) continue;
    if (typeof type === "string") {
      // People write what a URL of it begins with.
      const meant = nearest(type.trim(), kinds.flatMap(({ kind, schemes }) => [kind, ...schemes]));
      const kind = kinds.find(({ kind, schemes }) => [kind, ...schemes].includes(meant ?? ""))
        ?.kind;
      problems.push({
        ...unknownName([...here, "type"], type, "one of", known),
        ...(kind === undefined ? {} : { nearest: kind }),
      });
    } else if (type === undefined && typeof options["kind"] === "string") {
      problems.push({
        path: [...here, "kind"],
        found: "an unknown key",
        expected: `the key type, one of ${known.join(", ")}`,
      });
    } else {
      problems.push({
        path: [...here, "type"],
        found: describeFound(type, false),
        expected: `one of ${known.join(", ")}`,
      });
    }
  }
  return Object.fromEntries(result);
}

/** The line of a path's key, or of the nearest part of it that the file has. */
function locateIn(document: Document, path: ConfigPath, lines: LineCounter): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const offset = offsetOf(document.contents, path.slice(0, length));
    if (offset !== undefined) return lines.linePos(offset).line;
  }
  return undefined;
}

interface MapLike {
  readonly items: readonly unknown[];
}

function offsetOf(contents: Node | null, path: ConfigPath): number | undefined {
  let node: unknown = contents;
  let offset: number | undefined;
  for (const part of path) {
    const items = itemsOf(node);
    if (items === undefined) return undefined;
    if (typeof part === "number") {
      node = items[part];
      offset = rangeStart(node);
    } else {
      const pair = items.find((item) => scalarOf(field(item, "key")) === String(part));
      if (pair === undefined) return undefined;
      offset = rangeStart(field(pair, "key"));
      node = field(pair, "value");
    }
  }
  return offset;
}

function itemsOf(node: unknown): MapLike["items"] | undefined {
  const items = field(node, "items");
  return Array.isArray(items) ? items : undefined;
}

function scalarOf(node: unknown): string {
  return String(field(node, "value"));
}

function rangeStart(node: unknown): number | undefined {
  const range = field(node, "range");
  return Array.isArray(range) && typeof range[0] === "number" ? range[0] : undefined;
}

function field(node: unknown, name: string): unknown {
  return typeof node === "object" && node !== null ? Reflect.get(node, name) : undefined;
}
