import type { DumpSettings } from "../../contracts/source.ts";
import { isOwn } from "./archive/namespace.ts";
import type { NamespaceRules } from "./archive/oplog.ts";

/**
 * What of a server goes into a backup. Users and roles have an archive of their own, and what else
 * the server keeps for itself must not reach another one.
 */
export function rulesOf(settings: DumpSettings, database: string | undefined): NamespaceRules {
  const excluded = matcherOf(settings.exclude ?? [], database);
  const emptied = matcherOf(settings.excludeData ?? [], database);
  return {
    keep: (db, collection = "") => !isInternal(db, collection) && !excluded(db, collection),
    hasData: (db, collection) => settings.schemaOnly !== true && !emptied(db, collection),
    rename: (db) => db,
  };
}

function isInternal(db: string, collection: string): boolean {
  return db === "config" || db === "local" || (db === "admin" && !isOwn(collection));
}

/** Collections by DB.COLLECTION, or by COLLECTION where one database is dumped; `*` is any text. */
function matcherOf(patterns: readonly string[], database: string | undefined) {
  const expressions = patterns.map((pattern) => {
    const isQualified = database === undefined || pattern.startsWith(`${database}.`);
    const whole = isQualified ? pattern : `${database}.${pattern}`;
    const parts = whole.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`, "s");
  });
  return (db: string, collection: string): boolean =>
    expressions.some((expression) => expression.test(`${db}.${collection}`));
}
