import { measure, type Measured, median } from "./measure.ts";

/** One row: what it is, how to run it, and which other row it is compared with. */
export interface Row {
  readonly name: string;
  readonly command: string;
  readonly against?: string;
  /** What has to be reached: at most so many times what it is compared with, and so much memory. */
  readonly limits?: Limits;
  /** Undone before each run. */
  readonly reset?: () => void | Promise<void>;
}

/** What has to be reached. */
export interface Limits {
  readonly wall?: number;
  readonly cpu?: number;
  readonly peakMib?: number;
}

/**
 * Runs the rows in turn, round by round, and prints them as Markdown. Machines drift, so a ratio is
 * the median of the rounds' own ratios, each of two runs that followed each other.
 */
export async function table(
  title: string,
  rows: readonly Row[],
  { rounds, env }: {
    readonly rounds: number;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): Promise<void> {
  const results = new Map<string, Measured[]>(rows.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, command, reset } of rows) {
      await reset?.();
      results.get(name)!.push(await measure(command, env));
    }
  }
  console.log(`\n### ${title}\n`);
  console.log("| what | wall | CPU | against | wall | CPU | peak memory of dbbackup |");
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  for (const { name, against, limits = {} } of rows) {
    const own = results.get(name)!;
    const other = against === undefined ? undefined : results.get(against)!;
    const ratio = (figure: (one: Measured) => number, limit: number | undefined) => {
      if (other === undefined) return "";
      return judged(
        median(own.map((one, round) => figure(one) / figure(other[round]!))),
        "x",
        limit,
      );
    };
    const peaks = own.flatMap(({ peakMib }) => peakMib ?? []);
    const cells = [
      name,
      `${median(own.map(wall)).toFixed(2)} s`,
      `${median(own.map(cpu)).toFixed(2)} s`,
      against ?? "",
      ratio(wall, limits.wall),
      ratio(cpu, limits.cpu),
      peaks.length === 0 ? "" : judged(Math.max(...peaks), " MiB", limits.peakMib),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

const wall = ({ wallSeconds }: Measured) => wallSeconds;
const cpu = ({ cpuSeconds }: Measured) => cpuSeconds;

/** `1.04x (at most 1.05: reached)`. */
function judged(value: number, unit: string, limit: number | undefined): string {
  const digits = unit === "x" ? 2 : 0;
  const text = `${value.toFixed(digits)}${unit}`;
  if (limit === undefined) return text;
  return `${text} (at most ${limit}: ${value <= limit ? "reached" : "not reached"})`;
}
