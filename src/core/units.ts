const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** What a duration looks like, for schemas: `90s`, `10m`, `2h30m`. */
export const durationPattern = /^(\d+(?:\.\d+)?(?:ms|[smhdw]))+$/;
/** What a size looks like, for schemas: `512MiB`, `1.5 GiB`, `100GB`, `4096`. */
export const sizePattern = /^\d+(?:\.\d+)? ?(?:B|[KMGT]i?B)?$/;

/** The smallest size at which files are cut: below it, a dump would be millions of them. */
export const smallestVolumeBytes = 32 * 1024;

/** What a duration looks like, for people: of a number without a unit, with the units it may mean. */
export function durationExamples(written: unknown): string {
  const text = String(written).trim();
  if (!/^\d+(\.\d+)?$/.test(text)) return '"90s", "10m" or "2h30m"';
  return `"${text}s", "${text}m" or "${text}h": a number needs its unit`;
}

/** Milliseconds of a duration such as `2h30m`; undefined for what is none, and for zero. */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  let sumMs = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
    sumMs += Number(count) * durationUnits[unit!]!;
  }
  return sumMs > 0 && Number.isFinite(sumMs) ? Math.round(sumMs) : undefined;
}

/** Bytes in a second of a rate such as `20MiB/s` or `20MiB`; undefined for what is none. */
export function parseRate(text: string): number | undefined {
  return parseSize(text.replace(/ ?\/ ?s$/, ""));
}

/** Bytes of a size such as `100GiB`; undefined for what is none, and for zero. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?(\w*)$/.exec(text);
  if (match === null || !sizePattern.test(text)) return undefined;
  const bytes = Math.round(Number(match[1]) * sizeUnits[match[2] === "" ? "B" : match[2]!]!);
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A duration in units that {@link parseDuration} takes back: `1h30m`. */
export function formatDuration(ms: number): string {
  if (ms % 1000 !== 0) return `${ms}ms`;
  const seconds = ms / 1000;
  const parts = [
    [Math.floor(seconds / 3600), "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  return parts.filter(([count]) => count > 0).map(([count, unit]) => `${count}${unit}`).join("");
}

/** A size in the largest unit that says it exactly: `100GiB`. */
export function formatSize(bytes: number): string {
  const units = ["TiB", "GiB", "MiB", "KiB"];
  for (const [index, unit] of units.entries()) {
    const factor = 1024 ** (units.length - index);
    if (bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return `${bytes}B`;
}
