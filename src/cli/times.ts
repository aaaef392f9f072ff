import { BackupError } from "../core/errors.ts";
import { formatDuration } from "../core/text.ts";

/** A moment for people: `2026-11-23 03:00:00Z`. Always UTC, as in the names on the destination. */
export function formatTime(time: Date): string {
  return time.toISOString().replace("T", " ").replace(/\.\d+Z$/, "Z");
}

/** How long something took: `840ms`, `12s`, `3m 20s`. */
export function formatTook(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)}ms` : formatDuration(ms);
}

/** The same with the offset of this machine's time zone: `2026-11-23 04:00:00+01:00`. */
export function localTime(time: Date): string {
  const minutes = -time.getTimezoneOffset();
  const shifted = new Date(time.getTime() + minutes * 60_000);
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  return `${formatTime(shifted).slice(0, -1)}${minutes < 0 ? "-" : "+"}${two(hours)}:${two(rest)}`;
}

/** Whether a moment that a user typed names no zone. */
export function isLocal(text: string): boolean {
  return !/(?:Z|[+-]\d{2}:?\d{2})$/i.test(text.trim());
}

/**
 * Reads a moment that a user typed: `2026-11-23T03:00:00Z`, with an offset, or without any, which
 * means local time.
 *
 * @throws BackupError `usage/bad-time`
 */
export function parseTime(text: string): Date {
  const match =
    /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)\s*(Z|[+-]\d{2}:?\d{2})?$/i.exec(
      text.trim(),
    );
  const time = match === null
    ? undefined
    : new Date(`${match[1]}T${match[2]}${(match[3] ?? "").toUpperCase()}`);
  if (time !== undefined && !Number.isNaN(time.getTime())) return time;
  throw new BackupError("usage/bad-time", `Cannot read the time "${text}"`, {
    hint: "Write it as 2026-11-23T03:00:00Z; without Z or an offset it is local time.",
  });
}
