import { sourceTag } from "../../catalog/names.ts";
import type { DatabaseDefinition } from "../../config/model.ts";
import type { SourceInfo } from "../../contracts/source.ts";
import type { JobContext } from "./context.ts";

/** Which source a backup is of, among all that share a job's folder. */
export interface IdentifiedSource {
  /** The kind that it really is: `mariadb` for a MariaDB server at `mysql://`. */
  readonly kind: string;
  readonly id: string;
  /** As in the folder's name. */
  readonly tag: string;
  /** What `id` is: the server's own, the option `source`, or what was declared. */
  readonly by: "server" | "name" | "declaration";
}

/**
 * Identifies a source: by what the server itself says, else by its `source` in the config, else by
 * what is declared. The name of this machine plays no part: every new container has another.
 */
export async function identifySource(
  { name, kind, options, written }: DatabaseDefinition,
  info: SourceInfo,
  { runtime }: Pick<JobContext, "runtime">,
): Promise<IdentifiedSource> {
  const real = info.kind ?? kind.kind;
  const identified = (id: string, by: IdentifiedSource["by"]) => (
    { kind: real, id, tag: sourceTag(real, id), by }
  );
  if (info.sourceId !== undefined) return identified(info.sourceId, "server");
  const declared = await kind.declaredSource?.(written ?? options, { runtime });
  if (declared === undefined) return identified(name, "declaration");
  return identified(declared.id, declared.isNamed ? "name" : "declaration");
}
