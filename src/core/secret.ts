import { readFile } from "node:fs/promises";
import { inspect } from "node:util";
import { BackupError } from "./errors.ts";
import type { Environment } from "./environment.ts";
import { describeCommand, readSecretCommand, type SecretCommand } from "./secret-command.ts";

/** One piece of a {@link Secret}: plain text, a variable, a file's content or what a command prints. */
export type SecretPart =
  | { readonly text: string }
  | { readonly env: string; readonly fallback?: string }
  | { readonly file: string }
  | SecretCommand;

/**
 * A reference to a value that is looked up only when its holder is opened: an environment variable,
 * a file, or a text that mixes them with plain parts (`postgres://app:${PASSWORD}@db/shop`).
 *
 * However it is printed (string, JSON, inspect, log), it shows `[redacted]`, never a value. Resolve
 * it with {@link Secrets.resolve}.
 */
export class Secret {
  readonly #parts: readonly SecretPart[];

  constructor(parts: readonly SecretPart[]) {
    this.#parts = parts;
  }

  /** The parts, for {@link Secrets} alone. */
  get parts(): readonly SecretPart[] {
    return this.#parts;
  }

  /** What it refers to, without any value: `env("SHOP_PASSWORD")`. Safe to show. */
  describe(): string {
    return this.#parts.map(describePart).join(" + ") || '""';
  }

  toString(): string {
    return "[redacted]";
  }

  toJSON(): string {
    return "[redacted]";
  }

  /** @internal */
  [inspect.custom](): string {
    return "[redacted]";
  }
}

/** A text given outright or by reference. Most options that hold a string take this. */
export type Text = string | Secret;

/** A reference to environment variable `name`, with an optional default for when it is unset. */
export function env(name: string, fallback?: string): Secret {
  return new Secret([fallback === undefined ? { env: name } : { env: name, fallback }]);
}

/** A reference to the content of a file; one trailing line break is dropped. */
export function file(path: string): Secret {
  return new Secret([{ file: path }]);
}

/**
 * A reference to what a command prints, such as a password manager: a line for the shell, or a program
 * with its arguments. It runs only when the secret is needed, once; one trailing line break is dropped.
 *
 * @param o.timeoutMs default 60,000
 */
export function command(
  line: string | readonly string[],
  o: { readonly timeoutMs?: number } = {},
): Secret {
  return new Secret([{ command: line, ...o }]);
}

/** A secret that is already known, such as one typed at a prompt. */
export function known(value: string): Secret {
  return new Secret([{ text: value }]);
}

/** Resolves secrets, and removes every value it ever resolved from texts. */
export interface Secrets {
  /**
   * Looks up a reference; a plain string comes back as it is and is not taken for a secret.
   *
   * @param o.isPublic true for what is no secret wherever it comes from, such as a host or a path:
   * messages go on naming it.
   * @throws BackupError `config/env-missing`, `config/env-empty`, `config/secret-file`,
   * `config/secret-command`
   */
  resolve(text: Text, o?: { readonly isPublic: boolean }): Promise<string>;
  /** Notes a value as secret, for those that come another way (a password inside a URL). */
  hide(value: string): void;
  /** Replaces every known secret, also in its URL-encoded form, by `[redacted]`. */
  redact(text: string): string;
}

/** Makes the {@link Secrets} of one process. */
export function createSecrets(environment: Environment): Secrets {
  const hidden = new Set<string>();

  function hide(value: string): void {
    // Redacting very short values would garble the log and give them away.
    if (value.length < 4) return;
    for (const form of [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]) {
      hidden.add(form);
    }
  }

  // Each command runs once, whoever asks; one that failed may be asked again.
  const commands = new Map<string, Promise<string>>();
  function printed(part: SecretCommand): Promise<string> {
    const key = JSON.stringify(part);
    const known = commands.get(key);
    if (known !== undefined) return known;
    const value = readSecretCommand(part, environment);
    commands.set(key, value);
    value.catch(() => commands.delete(key));
    return value;
  }

  async function resolvePart(part: SecretPart): Promise<string> {
    if ("text" in part) return part.text;
    if ("env" in part) return readVariable(environment, part.env, part.fallback);
    if ("command" in part) return await printed(part);
    return await readSecretFile(part.file);
  }

  return {
    hide,
    async resolve(text, o) {
      if (typeof text === "string") return text;
      const values = await Promise.all(text.parts.map(resolvePart));
      const whole = values.join("");
      if (o?.isPublic === true) return whole;
      text.parts.forEach((part, index) => "text" in part || hide(values[index]!));
      hide(whole);
      return whole;
    },
    redact(text) {
      let result = text;
      for (const value of [...hidden].sort((a, b) => b.length - a.length)) {
        result = result.replaceAll(value, "[redacted]");
      }
      return result;
    },
  };
}

function describePart(part: SecretPart): string {
  if ("text" in part) return '"…"';
  if ("env" in part) {
    return `env(${JSON.stringify(part.env)}${part.fallback === undefined ? "" : ', "…"'})`;
  }
  if ("command" in part) return `command(${JSON.stringify(describeCommand(part))})`;
  return `file(${JSON.stringify(part.file)})`;
}

function readVariable(environment: Environment, name: string, fallback?: string): string {
  const value = environment[name];
  if (value !== undefined && value !== "") return value;
  if (fallback !== undefined) return fallback;
  if (value === undefined) {
    throw new BackupError("config/env-missing", `Environment variable ${name} is not set`, {
      hint: `Set ${name}, or give it a default: env("${name}", "…") or \${${name}:-…}.`,
    });
  }
  throw new BackupError("config/env-empty", `Environment variable ${name} is empty`, {
    hint: `Give ${name} a value, or a default: env("${name}", "…") or \${${name}:-…}.`,
  });
}

async function readSecretFile(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).replace(/\r?\n$/, "");
  } catch (cause) {
    throw new BackupError("config/secret-file", `Cannot read the secret file "${path}"`, {
      cause,
      hint: "Check that the file exists and that this user may read it.",
    });
  }
}
