import { quoteText } from "../client.ts";
import { tokenize } from "../tokens.ts";
import type { Replacement } from "../translate.ts";

/** How a scheduled event is made or altered, and how it is written so that it stays still. */
export interface StillEvent {
  /** Whether it is to run in the end; undefined where the statement does not say. */
  readonly isEnabled: boolean | undefined;
  /** What changes in the statement. */
  readonly replacements: readonly Replacement[];
}

/**
 * Disables an event in the statement that makes or alters it: while changes are replayed it must not
 * make its own. Undefined for other statements.
 *
 * @param invoker who ran the statement, where it is from a log
 */
export function stilled(
  sql: string,
  invoker?: { readonly user: string; readonly host: string },
): StillEvent | undefined {
  const tokens = tokenize(sql, 4_000);
  const words = tokens.map(({ type, text }) => type === "word" ? text.toUpperCase() : "");
  const [verb] = words;
  const type = words.findIndex((word) => word === "EVENT");
  if ((verb !== "CREATE" && verb !== "ALTER") || type < 0 || type > headTokens) return undefined;
  const between = words.slice(1, type);
  if (between.some((word) => others.includes(word))) return undefined;
  const body = words.indexOf("DO", type);
  const end = body < 0 ? words.length : body;
  const isIn = (word: string) => {
    const at = words.indexOf(word, type + 2);
    return at >= 0 && at < end ? at : undefined;
  };
  // Who alters an event becomes its definer, and here that would be the user of the restore.
  const definer: Replacement[] = invoker === undefined || between.includes("DEFINER") ? [] : [{
    start: tokens[0]!.end,
    end: tokens[0]!.end,
    text: ` DEFINER = ${quoteText(invoker.user)}@${quoteText(invoker.host)}`,
  }];
  const enable = isIn("ENABLE");
  if (enable !== undefined) {
    const { start, end } = tokens[enable]!;
    return { isEnabled: true, replacements: [...definer, { start, end, text: "DISABLE" }] };
  }
  if (isIn("DISABLE") !== undefined) return { isEnabled: false, replacements: definer };
  if (verb === "ALTER") return { isEnabled: undefined, replacements: definer };
  const next = tokens[isIn("COMMENT") ?? end];
  const { start } = next ?? { start: sql.length };
  return { isEnabled: true, replacements: [...definer, { start, end: start, text: "DISABLE " }] };
}

// CREATE OR REPLACE DEFINER = user @ host EVENT
const headTokens = 10;
const others = ["TABLE", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "USER", "DATABASE", "INDEX"];
