import { measure, type Measured, median } from "./measure.ts";

/** One row: what it is, how to run it, and which other row it is compared with. */
export interface Row {
  readonly name: string;
  readonly command: string;
  readonly against?: string;
  /** What has to be reached: at most so many times what it is compared with, and so much memory. */
  readonly limits?: Limits;
  /** Run in the first round only: what takes long, and nothing hangs on. */
  readonly isOnce?: boolean;
  /** Undone before each run. */
  readonly reset?: () => void | Promise<void>;
}

/** What has to be reached. */
export interface Limits {
  readonly wall?: number;
  readonly cpu?: number;
  readonly peakMib?: number;
}

/** A figure, and what it has to be at most. */
interface Judged {
  readonly value: number;
  readonly unit: "x" | " MiB";
  readonly limit: number | undefined;
}

/** What came of one row. */
export interface RowResult {
  readonly title: string;
  readonly row: Row;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** Wall time of what it was compared with. */
  readonly otherSeconds: number | undefined;
  readonly wall: Judged | undefined;
  readonly cpu: Judged | undefined;
  readonly peak: Judged | undefined;
}

/**
 * Runs the rows in turn, round by round, and prints them as Markdown. Machines drift, so a ratio is
 * the median of the rounds' own ratios, each of two runs that followed each other.
 *
 * @param endsAt after this moment no further round begins
 */
export async function table(
  title: string,
  rows: readonly Row[],
  { rounds, endsAt, env }: {
    readonly rounds: number;
    readonly endsAt: number;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): Promise<RowResult[]> {
  const measured = new Map<string, Measured[]>(rows.map(({ name }) => [name, []]));
  let round = 0;
  for (; round < rounds && (round === 0 || Date.now() < endsAt); round++) {
    for (const { name, command, reset, isOnce = false } of rows) {
      if (isOnce && round > 0) continue;
      await reset?.();
      measured.get(name)!.push(await measure(command, env));
    }
  }
  const results = rows.map((row) => resultOf(title, row, measured));
  console.log(`\n### ${title}, ${round === 1 ? "1 round" : `${round} rounds`}\n`);
  console.log("| what | wall | CPU | against | wall | CPU | peak memory of dbbackup |");
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  for (const { row, wallSeconds, cpuSeconds, wall, cpu, peak } of results) {
    const times = [wallSeconds, cpuSeconds].map((seconds) => `${seconds.toFixed(2)} s`);
    const judged = [wall, cpu, peak].map(judgedText);
    const cells = [row.name, ...times, row.against ?? "", ...judged];
    console.log(`| ${cells.join(" | ")} |`);
  }
  return results;
}

function resultOf(
  title: string,
  row: Row,
  measured: ReadonlyMap<string, readonly Measured[]>,
): RowResult {
  const { against, limits = {} } = row;
  const own = measured.get(row.name)!;
  const other = against === undefined ? undefined : measured.get(against)!;
  const ratio = (figure: (one: Measured) => number, limit: number | undefined) => {
    if (other === undefined) return undefined;
    const rounds = own.slice(0, other.length);
    const value = median(rounds.map((one, round) => figure(one) / figure(other[round]!)));
    return { value, unit: "x", limit } as const;
  };
  const peaks = own.flatMap(({ peakMib }) => peakMib ?? []);
  return {
    title,
    row,
    wallSeconds: median(own.map(wall)),
    cpuSeconds: median(own.map(cpu)),
    otherSeconds: other === undefined ? undefined : median(other.map(wall)),
    wall: ratio(wall, limits.wall),
    cpu: ratio(cpu, limits.cpu),
    peak: peaks.length === 0
      ? undefined
      : { value: Math.max(...peaks), unit: " MiB", limit: limits.peakMib },
  };
}

/** Prints the rows that have something to reach as the README has them, and what is not reached. */
export function summary(all: readonly RowResult[]): void {
  const results = all.filter(({ row }) => row.limits !== undefined);
  console.log("\n### In short, as in the README\n");
  console.log("| what | shell | dbbackup | wall | CPU | peak memory |");
  console.log("| --- | --- | --- | --- | --- | --- |");
  for (const { title, row, wallSeconds, otherSeconds, wall, cpu, peak } of results) {
    const seconds = [otherSeconds, wallSeconds].map((one) =>
      one === undefined ? "" : `${short(one)} s`
    );
    const figures = [wall, cpu, peak].map((one) => one === undefined ? "" : figureText(one));
    console.log(`| ${[`${title}: ${row.name}`, ...seconds, ...figures].join(" | ")} |`);
  }
  const judged = results.flatMap(({ title, row, wall, cpu, peak }) =>
    Object.entries({ wall, "CPU": cpu, memory: peak }).flatMap(([what, one]) =>
      one?.limit === undefined ? [] : [{ what: `${title}: ${row.name}: ${what}`, ...one }]
    )
  );
  const missed = judged.filter((one) => !isReached(one));
  console.log(`\n${judged.length - missed.length} of ${judged.length} are reached.`);
  for (const one of missed) console.log(`- not reached: ${one.what} ${judgedText(one)}`);
}

const wall = ({ wallSeconds }: Measured) => wallSeconds;
const cpu = ({ cpuSeconds }: Measured) => cpuSeconds;

function isReached({ value, limit }: Judged): boolean {
  return limit === undefined || value <= limit;
}

/** `1.04x (at most 1.05: reached)`. */
function judgedText(judged: Judged | undefined): string {
  if (judged === undefined) return "";
  const text = figureText(judged);
  if (judged.limit === undefined) return text;
  return `${text} (at most ${judged.limit}: ${isReached(judged) ? "reached" : "not reached"})`;
}

function figureText({ value, unit }: Judged): string {
  return `${value.toFixed(unit === "x" ? 2 : 0)}${unit}`;
}

function short(seconds: number): string {
  return seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1);
}
