/**
 * Makes src/config/declaration-contracts.ts out of the contracts themselves, so that the type file
 * for editors says what the code says. `bun tests/config/declaration-source.ts` writes it anew; a
 * test compares.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Where the result is kept. */
export const generatedPath = join(root, "src", "config", "declaration-contracts.ts");

/** The content of declaration-contracts.ts as the contracts have it now. */
export function generate(): string {
  const blocks = [
    ...typesOf("src/core/bytes.ts", ["Bytes", "Abortable", "ByteRange"]),
    ...typesOf("src/core/errors.ts", ["ErrorCode", "BackupErrorOptions"]),
    errors,
    ...typesOf("src/core/machine.ts", ["Machine"]),
    ...typesOf("src/core/retry.ts", ["Patience"]),
    ...typesOf("src/core/environment.ts", ["Environment"]),
    ...typesOf("src/core/runtime.ts", ["Runtime"]),
    secrets,
    logger,
    manifest,
    ...typesOf("src/contracts/changes.ts"),
    ...typesOf("src/contracts/recipe.ts"),
    stepByStep,
    ...typesOf("src/contracts/inventory.ts"),
    ...typesOf("src/contracts/format.ts"),
    ...typesOf("src/contracts/connector.ts"),
    ...typesOf("src/contracts/storage.ts"),
    zod,
  ];
  const text = blocks.map((block) => indent(block.trim())).join("\n\n");
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("`", "\\`").replaceAll("${", "\\${");
  return `// Generated: bun tests/config/declaration-source.ts

/** The contracts of plugins, as dbbackup.d.ts declares them. */
export const contracts = \`
${escaped}\`;
`;
}

/** Every exported interface and type of a file, or those named, with their doc comments. */
function typesOf(file: string, names?: readonly string[]): string[] {
  const source = readFileSync(join(root, file), "utf8");
  const pattern =
    /(?:^\/\*\*(?:(?!\*\/)[\s\S])*?\*\/\n)?^export (?:interface|type) (\w+)[\s\S]*?(?:^\}$|;$)/gm;
  const found = [...source.matchAll(pattern)].filter((match) => {
    // A type alias ends at its semicolon, an interface at its brace.
    return names === undefined || names.includes(match[1]!);
  });
  if (names !== undefined && found.length !== names.length) {
    throw new Error(`${file}: found ${found.map((match) => match[1]).join(", ")}`);
  }
  return found.map((match) => wholeType(source, match.index, match[0]));
}

/** A regular expression cannot count braces: takes the text up to the end of the declaration. */
function wholeType(source: string, start: number, match: string): string {
  const head = match.search(/^export /m);
  let depth = 0;
  for (let index = start + head; index < source.length; index++) {
    const character = source[index]!;
    if (character === "{") depth++;
    if (character === "}") depth--;
    const isInterface = match.slice(head).startsWith("export interface");
    if (depth === 0 && (isInterface ? character === "}" : character === ";")) {
      return source.slice(start, index + 1);
    }
  }
  throw new Error("A declaration does not end");
}

function indent(text: string): string {
  return text.split("\n").map((line) => line === "" ? line : `  ${line}`).join("\n");
}

const errors = `/** The first half of an error code; it decides the exit status. */
export type ErrorArea =
  | "internal"
  | "interrupted"
  | "verification"
  | "restore"
  | "dump"
  | "storage"
  | "connection"
  | "config"
  | "usage"
  | "locked"
  | "partial";
/** The one error that users see. */
export class BackupError extends Error {
  override readonly name: "BackupError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  constructor(code: ErrorCode, message: string, options?: BackupErrorOptions);
}`;

const stepByStep =
  `/** The recipe of a kind whose backups are restored artifact by artifact, a step for each. */
export function stepByStep(
  chain: RecipeChain,
  commands: (input: RecipeInput) => string[],
): RecipeStep[];`;

const secrets = `/** Resolves secrets, and removes every value it ever resolved from texts. */
export interface Secrets {
  resolve(text: Text, o?: { readonly isPublic: boolean }): Promise<string>;
  /** Notes a value as secret, for those that come another way. */
  hide(value: string): void;
  redact(text: string): string;
}`;

const logger = `/** Structured log; \`{name}\` in a message is filled in from the properties. */
export interface Logger {
  debug(message: string, properties?: Record<string, unknown>): void;
  info(message: string, properties?: Record<string, unknown>): void;
  warn(message: string, properties?: Record<string, unknown>): void;
  error(message: string, properties?: Record<string, unknown>): void;
  with(properties: Record<string, unknown>): Logger;
}`;

const manifest = `export type Kind = "full" | "differential" | "incremental";
/** Where a backup stands in its database's change log. */
export interface Position {
  /** \`lsn\`, \`binlog\`, \`oplog\`, \`sqlite\`; later versions may know more. */
  type: string;
  [key: string]: unknown;
}
/** Something that a dump leaves out. */
export interface Omission {
  /** The stable name that a job accepts. */
  name: string;
  reason: string;
  objects?: string[] | undefined;
  [key: string]: unknown;
}
export interface Volume {
  name: string;
  bytes: number;
  sha256: string;
  [key: string]: unknown;
}
/** One byte stream of a backup. */
export interface Artifact {
  number: number;
  role: string;
  databases: string[];
  format: string;
  from?: Position | undefined;
  to?: Position | undefined;
  codecs: { id: string; parameters?: Record<string, unknown> | undefined; [key: string]: unknown }[];
  rawBytes: number;
  rawSha256: string;
  storedBytes: number;
  storedSha256: string;
  volumes: Volume[];
  [key: string]: unknown;
}
/** What makes a folder a backup. */
export interface Manifest {
  formatVersion: number;
  id: string;
  job: string;
  /** A Kind; later versions may know more. */
  kind: string;
  parent: { id: string; manifestSha256: string; [key: string]: unknown } | null;
  strategy?:
    | { id: string; reason: string; wanted?: string | undefined; [key: string]: unknown }
    | undefined;
  source: {
    kind: string;
    id: string;
    tag: string;
    flavour: string;
    version: string;
    [key: string]: unknown;
  };
  tool: { name: string; version: string; [key: string]: unknown };
  clientTools: { name: string; version: string; [key: string]: unknown }[];
  startedAt: string;
  finishedAt: string;
  consistentAt: string;
  window?: { from: string; to: string; [key: string]: unknown } | undefined;
  position: {
    from?: Position | undefined;
    to?: Position | undefined;
    [key: string]: unknown;
  };
  clockOffsetMs: number | null;
  settings: {
    exclude?: string[] | undefined;
    excludeData?: string[] | undefined;
    schemaOnly?: boolean | undefined;
    dumpArgs?: string[] | undefined;
    restoreArgs?: string[] | undefined;
    [key: string]: unknown;
  };
  omitted: Omission[];
  warnings: string[];
  artifacts: Artifact[];
  restoreText?: { bytes: number; sha256: string; [key: string]: unknown } | undefined;
  [key: string]: unknown;
}`;

const zod = `/** The part of zod that options need; all of zod is there. */
export namespace z {
  export interface ZodType<O = unknown> {
    readonly _output: O;
    parse(value: unknown): O;
    safeParse(value: unknown): { success: boolean; data?: O };
    optional(): ZodOptional<O>;
    default(value: O): ZodOptional<O>;
    describe(text: string): this;
    refine(check: (value: O) => unknown, message?: string): this;
  }
  export interface ZodOptional<O> extends ZodType<O | undefined> {
    readonly isOptionalKey: true;
  }
  export interface ZodString extends ZodType<string> {
    min(length: number, message?: string): this;
    max(length: number, message?: string): this;
    regex(pattern: RegExp, message?: string): this;
  }
  export interface ZodNumber extends ZodType<number> {
    int(): this;
    positive(): this;
    nonnegative(): this;
    min(value: number): this;
    max(value: number): this;
  }
  export interface ZodArray<O> extends ZodType<O[]> {
    min(length: number): this;
  }
  export type Shape = Record<string, ZodType<unknown>>;
  export type OptionalKeys<S extends Shape> = {
    [K in keyof S]: S[K] extends ZodOptional<unknown> ? K : never;
  }[keyof S];
  export type ObjectOf<S extends Shape> =
    & { [K in Exclude<keyof S, OptionalKeys<S>>]: S[K]["_output"] }
    & { [K in OptionalKeys<S>]?: S[K]["_output"] };
  export type infer<T extends ZodType> = T["_output"];
  export function string(): ZodString;
  export function number(): ZodNumber;
  export function boolean(): ZodType<boolean>;
  export function literal<const T extends string | number | boolean>(value: T): ZodType<T>;
  export function array<O>(element: ZodType<O>): ZodArray<O>;
  export function record<O>(key: ZodType<string>, value: ZodType<O>): ZodType<Record<string, O>>;
  export function strictObject<S extends Shape>(shape: S): ZodType<ObjectOf<S>>;
  export function object<S extends Shape>(shape: S): ZodType<ObjectOf<S>>;
  export function union<const T extends readonly ZodType[]>(members: T): ZodType<T[number]["_output"]>;
  const _enum: <const T extends string>(values: readonly T[]) => ZodType<T>;
  export { _enum as enum };
  /** A class, such as Secret. */
  const _instanceof: <T>(type: abstract new (...args: never[]) => T) => ZodType<T>;
  export { _instanceof as instanceof };
}`;

if (import.meta.main) writeFileSync(generatedPath, generate());
