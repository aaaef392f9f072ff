import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../core/runtime.ts";
import { ownHome } from "../../core/user.ts";
import type { Host } from "./host.ts";

/** The entries of a password file: host, port, database, user, password. */
export interface PassFile {
  readonly path: string;
  readonly entries: readonly (readonly string[])[];
}

/**
 * Reads PGPASSFILE or ~/.pgpass. As libpq does, it takes no file that others may read
 * (https://www.postgresql.org/docs/current/libpq-pgpass.html).
 *
 * @returns undefined where there is no usable one
 */
export async function passFileOf(env: Environment): Promise<PassFile | undefined> {
  const path = env["PGPASSFILE"] || join(ownHome(env), ".pgpass");
  try {
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0) return undefined;
    const lines = (await readFile(path, "utf8")).split(/\r?\n/);
    const entries = lines.filter((line) => line !== "" && !line.startsWith("#")).map(fieldsOf);
    return { path, entries };
  } catch {
    return undefined;
  }
}

/** The password of the first entry that fits, as libpq picks it. */
export function findPassword(
  { entries }: PassFile,
  hosts: readonly Host[],
  database: string,
  user: string,
): string | undefined {
  const [first] = hosts;
  const isDefaultSocket = ["/var/run/postgresql", "/tmp"].includes(first!.host);
  const host = isDefaultSocket ? "localhost" : first!.host;
  const wanted = [host, String(first!.port), database, user];
  const entry = entries.find((fields) =>
    fields.length >= 5 && wanted.every((value, at) => fields[at] === "*" || fields[at] === value)
  );
  return entry?.[4];
}

/** One line of a password file that fits everything. */
export function passFileLine(password: string): string {
  return `*:*:*:*:${password.replaceAll(/[\\:]/g, "\\$&")}\n`;
}

/** Splits at colons; a backslash takes the next character as it is. */
function fieldsOf(line: string): string[] {
  const fields = [""];
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    if (character === "\\" && at + 1 < line.length) fields[fields.length - 1] += line[++at]!;
    else if (character === ":" && fields.length < 5) fields.push("");
    else fields[fields.length - 1] += character;
  }
  return fields;
}
