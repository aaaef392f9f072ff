import { BackupError } from "../../core/errors.ts";
import type { Relation } from "./databases.ts";

/**
 * The tables and views that a list of `DB.TABLE`, or `TABLE` where one database is dumped, names;
 * `*` stands for any text.
 *
 * @throws BackupError `config/no-such-table` for a name without `*` that is nothing here
 */
export function matching(
  databases: readonly string[],
  relations: readonly Relation[],
  patterns: readonly string[] = [],
): Relation[] {
  const only = databases.length === 1 ? databases[0] : undefined;
  return patterns.flatMap((pattern) => {
    const source = pattern.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
    const wanted = new RegExp(`^${source.join(".*")}$`, "s");
    const found = relations.filter(({ database, name }) =>
      wanted.test(`${database}.${name}`) || (database === only && wanted.test(name))
    );
    if (found.length > 0 || pattern.includes("*")) return found;
    throw new BackupError("config/no-such-table", `There is no table "${pattern}" to leave out`, {
      hint: "Write DATABASE.TABLE; `*` stands for any text.",
    });
  });
}
