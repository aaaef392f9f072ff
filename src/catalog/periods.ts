/** The periods that retention counts by, shortest first. */
export const periodNames = ["hourly", "daily", "weekly", "monthly", "yearly"] as const;
/** See {@link periodNames}. */
export type Period = (typeof periodNames)[number];

/** Hours, days, weeks, months and years as a time zone has them. */
export interface Calendar {
  /** Tells periods apart: two moments are in the same one exactly when their numbers are equal. */
  number(period: Period, atMs: number): number;
  /** For people: `2026-11-23 03:00`, `2026-11-23`, `2026-W48`, `2026-11`, `2026`. */
  label(period: Period, atMs: number): string;
}

/** True for the name of a time zone that this system knows: `Europe/Berlin`, `UTC`. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** The names of time zones, without their other names such as `GMT`. */
export function timeZones(): string[] {
  return ["UTC", ...Intl.supportedValuesOf("timeZone")];
}

/** The time zone of this system: `TZ`, or what the machine is set to. */
export function systemTimeZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/**
 * The calendar of a time zone; weeks begin on Monday (ISO 8601).
 *
 * @throws RangeError for a name that is no time zone
 */
export function calendarIn(timezone: string): Calendar {
  const offsetMs = offsetsOf(timezone);
  return {
    number(period, atMs) {
      const offset = offsetMs(atMs);
      const localMs = atMs + offset;
      if (period === "daily") return Math.floor(localMs / dayMs);
      // 1970-01-01 was a Thursday, three days after a Monday.
      if (period === "weekly") return Math.floor((Math.floor(localMs / dayMs) + 3) / 7);
      // The hour that clocks show twice in autumn is two hours, so they are told apart by instant.
      if (period === "hourly") return Math.floor(localMs / hourMs) * hourMs - offset;
      const local = new Date(localMs);
      const year = local.getUTCFullYear();
      return period === "yearly" ? year : year * 12 + local.getUTCMonth();
    },
    label(period, atMs) {
      const local = new Date(atMs + offsetMs(atMs)).toISOString();
      if (period === "hourly") return `${local.slice(0, 10)} ${local.slice(11, 13)}:00`;
      if (period === "daily") return local.slice(0, 10);
      if (period === "weekly") return isoWeek(atMs + offsetMs(atMs));
      return local.slice(0, period === "monthly" ? 7 : 4);
    },
  };
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const stepMs = 15 * 60_000;

/** `2026-W48`: a week belongs to the year that has its Thursday. */
function isoWeek(localMs: number): string {
  const day = Math.floor(localMs / dayMs);
  const thursday = new Date((day - ((day + 3) % 7) + 3) * dayMs);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * dayMs)) + 1;
  return `${year}-W${String(week).padStart(2, "0")}`;
}

const known = new Map<string, (atMs: number) => number>();

/** Local time minus UTC at a moment, in milliseconds. */
function offsetsOf(timezone: string): (atMs: number) => number {
  const before = known.get(timezone);
  if (before !== undefined) return before;
  const format = new Intl.DateTimeFormat("en-u-ca-iso8601", {
    timeZone: timezone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });

  function lookUp(atMs: number): number {
    const parts: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(atMs)) parts[type] = Number(value);
    const { year, month, day, hour, minute, second } = parts;
    const localMs = Date.UTC(year!, month! - 1, day!, hour!, minute!, second!);
    return localMs - Math.floor(atMs / 1000) * 1000;
  }

  // Asking is slow. Clocks change at most once a day and at quarters of an hour, so a day whose ends
  // agree has one offset.
  const offsets = new Map<number, number>();
  const remembered = (atMs: number) => {
    let offset = offsets.get(atMs);
    if (offset === undefined) {
      offset = lookUp(atMs);
      offsets.set(atMs, offset);
    }
    return offset;
  };
  const offsetMs = (atMs: number) => {
    const startMs = Math.floor(atMs / dayMs) * dayMs;
    const start = remembered(startMs);
    return start === remembered(startMs + dayMs)
      ? start
      : remembered(Math.floor(atMs / stepMs) * stepMs);
  };
  known.set(timezone, offsetMs);
  return offsetMs;
}
