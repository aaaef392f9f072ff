import type { Mark } from "../contracts/strategy.ts";
import { compactTime, parseCompactTime } from "./names.ts";

/** A mark's file name: `verified-20261124T040000Z`, `hold`. */
export function markName(mark: Mark): string {
  return mark.type === "hold" ? "hold" : `${mark.type}-${compactTime(mark.at)}`;
}

/** Reads a mark's file name; undefined for any other file. */
export function parseMarkName(name: string): Mark | undefined {
  if (name === "hold") return { type: "hold" };
  const match = /^(verified|suspect|damaged)-(.+)$/.exec(name);
  const at = match === null ? undefined : parseCompactTime(match[2]!);
  if (match === null || at === undefined) return undefined;
  const type = match[1] === "verified" || match[1] === "suspect" ? match[1] : "damaged";
  return { type, at };
}
