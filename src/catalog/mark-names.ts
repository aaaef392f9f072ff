import type { Mark } from "../contracts/strategy.ts";
import { compactTime, parseCompactTime } from "./names.ts";

/** A mark's file name: `verified-20261124T040000Z`, `hold`, `drilled-20261124T040000Z_t7200_b1024`. */
export function markName(mark: Mark): string {
  if (mark.type === "hold") return "hold";
  const name = `${mark.type}-${compactTime(mark.at)}`;
  if (mark.type !== "drilled") return name;
  return `${name}_t${Math.round(mark.restoreMs)}_b${mark.fetchedBytes}`;
}

/** Reads a mark's file name; undefined for any other file. */
export function parseMarkName(name: string): Mark | undefined {
  if (name === "hold") return { type: "hold" };
  const drilled = /^drilled-(\w+?)_t(\d+)_b(\d+)(?:_[a-z]\d+)*$/.exec(name);
  if (drilled !== null) {
    const [, time, restoreMs, fetchedBytes] = drilled;
    const at = parseCompactTime(time!);
    return at && {
      type: "drilled",
      at,
      restoreMs: Number(restoreMs),
      fetchedBytes: Number(fetchedBytes),
    };
  }
  const match = /^(verified|suspect|damaged)-(.+)$/.exec(name);
  const at = match === null ? undefined : parseCompactTime(match[2]!);
  if (match === null || at === undefined) return undefined;
  const type = match[1] === "verified" || match[1] === "suspect" ? match[1] : "damaged";
  return { type, at };
}
