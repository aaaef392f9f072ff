import { normalize } from "node:path";
import type { DeclaredSource } from "../../contracts/connector.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { SqliteOptions } from "./options.ts";

/**
 * What identifies a database file, which has no id of its own: the option `source`, else the path as
 * it is written. Where a relative path leads to may be another in every container.
 */
export async function declaredSource(
  { source, path }: SqliteOptions,
  { runtime }: { runtime: Runtime },
): Promise<DeclaredSource> {
  const resolve = (text: SqliteOptions["path"]) =>
    runtime.secrets.resolve(text, { isPublic: true });
  return source === undefined
    ? { id: normalize(await resolve(path)), isNamed: false }
    : { id: await resolve(source), isNamed: true };
}
