import type { Mark } from "../contracts/strategy.ts";

/** What the marks of one copy say together. */
export type Standing = "verified" | "unknown" | "suspect" | "damaged";

/**
 * What the marks of one copy say together: a `verified` lifts what is older than it, and a `damaged`
 * outweighs a `suspect`.
 */
export function standingOf(marks: readonly Mark[]): Standing {
  const verifiedMs = Math.max(-Infinity, ...timesOf(marks, "verified"));
  const stands = (type: "suspect" | "damaged") =>
    timesOf(marks, type).some((ms) => ms >= verifiedMs);
  if (stands("damaged")) return "damaged";
  if (stands("suspect")) return "suspect";
  return verifiedMs === -Infinity ? "unknown" : "verified";
}

/** True for a copy that is not to be used while there is another. */
export function isDamaged({ marks }: { readonly marks: readonly Mark[] }): boolean {
  return standingOf(marks) === "damaged";
}

function timesOf(marks: readonly Mark[], wanted: Mark["type"]): number[] {
  return marks.flatMap((mark) =>
    mark.type !== "hold" && mark.type === wanted ? [mark.at.getTime()] : []
  );
}
