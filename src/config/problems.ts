import { z } from "zod";
import { BackupError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { nearest } from "../core/text.ts";

/** Where in a config something is: `["jobs", "shop", "accept", 0]`. */
export type ConfigPath = readonly PropertyKey[];

/** One thing that is wrong with a config. */
export interface Problem {
  readonly path: ConfigPath;
  /** What is there, as a phrase: `an unknown key`. */
  readonly found: string;
  /** What should be there, as a phrase: `a number`. */
  readonly expected: string;
  /** The nearest valid name. */
  readonly nearest?: string;
}

/** Finds the line of a path in the file; from 1. */
export type Locate = (path: ConfigPath) => number | undefined;

/**
 * Makes one error of all problems.
 *
 * @param file for people: the config's path
 */
export function invalidConfig(
  file: string,
  problems: readonly Problem[],
  locate: Locate,
): BackupError {
  const lines = problems.map((problem) => describe(problem, locate(problem.path)));
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  return new BackupError(
    "config/invalid",
    `The config "${file}" has ${count}:\n${lines.map((line) => `  ${line}`).join("\n")}`,
    {
      hint: "Correct the file and run `dbbackup config check`.",
      details: {
        file,
        problems: problems.map((problem) => ({
          key: formatPath(problem.path),
          line: locate(problem.path) ?? null,
          found: problem.found,
          expected: problem.expected,
          nearest: problem.nearest ?? null,
        })),
      },
    },
  );
}

/** `jobs.shop.accept[0]`; keys that are no plain words are quoted. */
export function formatPath(path: ConfigPath): string {
  return path.map((part, index) => {
    if (typeof part === "number") return `[${part}]`;
    const name = String(part);
    if (!/^[\w-]+$/.test(name)) return `[${JSON.stringify(name)}]`;
    return index === 0 ? name : `.${name}`;
  }).join("") || "the config";
}

/** Quotes names for a message: `"a", "b"`. */
export function quoted(names: Iterable<string>): string {
  return [...names].map((name) => `"${name}"`).join(", ");
}

/**
 * Turns what zod found into problems.
 *
 * @param prefix where the checked value is in the whole config
 * @param isSecretive true where values may be secrets, so that only their type is told
 */
export function problemsOf(
  error: z.ZodError,
  schema: z.ZodType,
  value: unknown,
  prefix: ConfigPath,
  isSecretive: boolean,
): Problem[] {
  return error.issues.flatMap((issue) =>
    problemsOfIssue(issue, schema, value, prefix, isSecretive)
  );
}

function problemsOfIssue(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  value: unknown,
  prefix: ConfigPath,
  isSecretive: boolean,
): Problem[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) =>
      unknownKey([...path, key], key, keysAt(schema, issue.path, key))
    );
  }
  const inside = issuesInside(issue);
  if (inside !== undefined) {
    return inside.flatMap((one) => {
      const whole = { ...one, path: [...issue.path, ...one.path] };
      return problemsOfIssue(whole, schema, value, prefix, isSecretive);
    });
  }
  const isSecret = isSecretive || isSecretPath(issue.path);
  const found = describeFound(valueAt(value, issue.path), isSecret);
  return [{ path, found, expected: expectedOf(issue), ...nearestOf(issue, value) }];
}

/** Of the shapes that a value may have, the only one that it has, with what is wrong in it. */
function issuesInside(issue: z.core.$ZodIssue): z.core.$ZodIssue[] | undefined {
  if (issue.code !== "invalid_union") return undefined;
  const [inside, ...others] = issue.errors.filter((issues) =>
    issues.every(({ path, code }) => path.length > 0 || code === "unrecognized_keys")
  );
  return others.length === 0 ? inside : undefined;
}

/** A key that stands where a reference belongs is still a key. */
function isSecretPath(path: ConfigPath): boolean {
  return path.some((part) => part === "identities" || part === "passphrase");
}

/** The problem of a key that there is not. */
export function unknownKey(path: ConfigPath, key: string, known: readonly string[]): Problem {
  const best = nearest(key, known);
  return {
    path,
    found: "an unknown key",
    expected: known.length === 0 ? "no key here" : `one of ${known.join(", ")}`,
    ...(best === undefined ? {} : { nearest: best }),
  };
}

/** The problem of a name that is not declared. */
export function unknownName(
  path: ConfigPath,
  name: string,
  what: string,
  known: readonly string[],
): Problem {
  const best = nearest(name, known);
  return {
    path,
    found: `"${name}"`,
    expected: known.length === 0 ? `${what}, but there is none` : `${what}: ${quoted(known)}`,
    ...(best === undefined ? {} : { nearest: best }),
  };
}

/** What a value is, in words. */
export function describeFound(value: unknown, isSecretive: boolean): string {
  if (value === undefined) return "nothing";
  if (value === null) return "an empty value";
  if (value instanceof Secret) return `a reference, ${value.describe()}`;
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "an object";
  if (typeof value === "function") return "a function";
  if (isSecretive) return value === "" ? "an empty text" : `a ${wordFor(typeof value)}`;
  if (typeof value === "string") return value === "" ? "an empty text" : JSON.stringify(value);
  return `the ${wordFor(typeof value)} ${String(value)}`;
}

function describe(problem: Problem, line: number | undefined): string {
  const place = line === undefined ? "" : `line ${line}: `;
  const near = problem.nearest === undefined ? "" : `. Did you mean "${problem.nearest}"?`;
  return `${place}${formatPath(problem.path)}: found ${problem.found}, expected ` +
    `${problem.expected}${near}`;
}

function wordFor(type: string): string {
  return type === "string" ? "text" : type;
}

function expectedOf(issue: z.core.$ZodIssue): string {
  // Our own schemas word it themselves.
  if (issue.message.startsWith("expected ")) return issue.message.slice("expected ".length);
  switch (issue.code) {
    case "invalid_type":
      return typeWords[issue.expected] ?? issue.expected;
    case "invalid_value":
      return `one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "too_small":
      if (issue.origin === "array") return "at least one entry";
      if (issue.origin === "string") return "a text that is not empty";
      return `${issue.inclusive ? "at least" : "more than"} ${issue.minimum}`;
    case "too_big":
      return `${issue.inclusive ? "at most" : "less than"} ${issue.maximum}`;
    default:
      return issue.message;
  }
}

const typeWords: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

function nearestOf(issue: z.core.$ZodIssue, value: unknown): { nearest?: string } {
  const found = valueAt(value, issue.path);
  const best = typeof found === "string" ? nearest(found, valuesOf(issue)) : undefined;
  return best === undefined ? {} : { nearest: best };
}

/** The texts that would do; a check of our own names them by `params.known`, a function. */
function valuesOf(issue: z.core.$ZodIssue): string[] {
  if (issue.code === "invalid_value") {
    return issue.values.filter((one) => typeof one === "string");
  }
  if (issue.code === "invalid_union") {
    // Of shapes that a key tells apart, what that may be.
    const options: unknown = Reflect.get(issue, "options");
    if (Array.isArray(options)) return options.filter((one) => typeof one === "string");
    return issue.errors.flat().filter(({ path }) => path.length === 0).flatMap(valuesOf);
  }
  const known: unknown = issue.code === "custom" ? issue.params?.["known"] : undefined;
  return typeof known === "function" ? known() : [];
}

function valueAt(value: unknown, path: ConfigPath): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = Reflect.get(current, part);
  }
  return current;
}

/** The keys that a schema takes at a path, as far as it tells, in the shapes that have no `wrong`. */
function keysAt(schema: z.core.$ZodType, path: ConfigPath, wrong: string): string[] {
  let candidates = objectsIn(schema);
  for (const part of path) candidates = candidates.flatMap((one) => step(one, part));
  const keys = candidates.flatMap((one) =>
    one instanceof z.ZodObject && !(wrong in one.shape) ? Object.keys(one.shape) : []
  );
  return [...new Set(keys)];
}

function step(schema: z.core.$ZodType, part: PropertyKey): z.core.$ZodType[] {
  if (schema instanceof z.ZodObject) {
    const next = schema.shape[String(part)];
    return next === undefined ? [] : objectsIn(next);
  }
  if (schema instanceof z.ZodArray) return objectsIn(schema.element);
  if (schema instanceof z.ZodRecord) return objectsIn(schema.valueType);
  return [];
}

/** A schema without its wrappers; the members of a union. */
function objectsIn(schema: z.core.$ZodType): z.core.$ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) {
    return objectsIn(schema.unwrap());
  }
  if (schema instanceof z.ZodNullable) return objectsIn(schema.unwrap());
  if (schema instanceof z.ZodPipe) return objectsIn(schema.in);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(objectsIn);
  return [schema];
}
