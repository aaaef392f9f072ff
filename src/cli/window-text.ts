import type { ChainWindow } from "../catalog/windows.ts";
import { counted } from "../core/text.ts";
import { formatTime } from "./times.ts";

/** To which moments a chain restores, for people. */
export function windowText({ from, to, backups, isAnyMoment }: ChainWindow): string {
  const [first, last] = [formatTime(from), formatTime(to)];
  if (first === last) return `${first} alone`;
  if (isAnyMoment) return `any moment from ${first} to ${last}`;
  return `${counted(backups, "moment")} from ${first} to ${last}`;
}
