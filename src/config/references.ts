import { isAbsolute, resolve } from "node:path";
import { describeCommand } from "../core/secret-command.ts";
import { command, Secret, type SecretPart, type Text } from "../core/secret.ts";

const reference =
  /\$\$\{|\$\{file:([^}]+)\}|\$\{command:([^}]+)\}|\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}|(\$\{[^}]*\}?)/g;

/**
 * Reads a YAML text that may hold references: `${X}`, `${X:-default}`, `${file:/run/secrets/x}`,
 * `${command:pass show x}`;
 * `$${` stands for a plain `${`. A text without any comes back as a plain string.
 *
 * @returns what could not be read, in `wrong`
 */
export function parseReferences(text: string): { value: Text; wrong?: string } {
  const parts: SecretPart[] = [];
  let plain = "";
  let end = 0;
  let wrong: string | undefined;
  const flush = () => {
    if (plain !== "") parts.push({ text: plain });
    plain = "";
  };
  for (const match of text.matchAll(reference)) {
    plain += text.slice(end, match.index);
    end = match.index + match[0].length;
    const [whole, path, line, name, fallback, bad] = match;
    if (whole === "$${") {
      plain += "${";
      continue;
    }
    if (bad !== undefined) {
      wrong ??= bad;
      continue;
    }
    flush();
    if (path !== undefined) parts.push({ file: path.trim() });
    else if (line !== undefined) parts.push({ command: line.trim() });
    else parts.push(fallback === undefined ? { env: name! } : { env: name!, fallback });
  }
  plain += text.slice(end);
  if (wrong !== undefined) return { value: text, wrong };
  if (parts.length === 0) return { value: plain };
  flush();
  return { value: new Secret(parts) };
}

/**
 * A reference as YAML writes it, without any secret text: `${X}`. The opposite of
 * {@link parseReferences}; a `file` shows its path, a `command` its program.
 */
export function formatReferences(secret: Secret): string {
  return secret.parts.map((part) => {
    if ("text" in part) return part.text;
    if ("file" in part) return `\${file:${part.file}}`;
    if ("command" in part) return `\${command:${describeCommand(part)}}`;
    return part.fallback === undefined ? `\${${part.env}}` : `\${${part.env}:-…}`;
  }).join("");
}

/**
 * The secret that `{ command: … }` stands for in YAML: a line for the shell, or a list of a program and
 * its arguments; undefined for any other object.
 */
export function commandReference(value: Record<string, unknown>): Secret | undefined {
  const { command: line, timeoutMs, ...others } = value;
  const isList = Array.isArray(line) && line.length > 0 &&
    line.every((one): one is string => typeof one === "string");
  if (Object.keys(others).length > 0 || !(isList || (typeof line === "string" && line !== ""))) {
    return undefined;
  }
  if (timeoutMs === undefined) return command(line);
  return typeof timeoutMs === "number" && timeoutMs > 0 ? command(line, { timeoutMs }) : undefined;
}

/** Puts the secret files of a value, however deep, beside the config: relative paths start there. */
export function withFilesIn(base: string, value: unknown): unknown {
  if (value instanceof Secret) return besideConfig(value, base);
  if (Array.isArray(value)) return value.map((one) => withFilesIn(base, one));
  if (isPlainObject(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, withFilesIn(base, one)]),
    );
  }
  return value;
}

/** A reference whose files, if it names any, lie beside the config, where its commands run. */
export function besideConfig(secret: Secret, base: string): Secret {
  const isRelative = secret.parts.some((part) =>
    "command" in part ? part.cwd === undefined : "file" in part && !isAbsolute(part.file)
  );
  if (!isRelative) return secret;
  return new Secret(
    secret.parts.map((part) => {
      if ("command" in part) return { ...part, cwd: part.cwd ?? base };
      return "file" in part ? { file: resolve(base, part.file) } : part;
    }),
  );
}

/** Every reference in a value, with where it is. */
export function referencesIn(
  value: unknown,
  path: readonly PropertyKey[] = [],
): { path: readonly PropertyKey[]; secret: Secret }[] {
  if (value instanceof Secret) return [{ path, secret: value }];
  if (Array.isArray(value)) {
    return value.flatMap((one, index) => referencesIn(one, [...path, index]));
  }
  if (isPlainObject(value)) {
    return Object.entries(value).flatMap(([key, one]) => referencesIn(one, [...path, key]));
  }
  return [];
}

/** True for an object literal: instances of classes are left as they are. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
