import { fromOption } from "../from.ts";
import { momentOf } from "../../catalog/moment.ts";
import { aheadWarning } from "../../jobs/shared/clock.ts";
import type { FailedDestination } from "../../jobs/shared/destinations.ts";
import { listBackups, listJobs } from "../../jobs/list/list.ts";
import type { ListedBackup, ListedCopy } from "../../jobs/list/types.ts";
import type { Config } from "../../config/model.ts";
import { BackupError } from "../../core/errors.ts";
import { createSweeper } from "../../core/memory.ts";
import { briefPatience } from "../../core/retry.ts";
import { counted, formatBytes, formatDuration, suggestion } from "../../core/text.ts";
import { standingOf } from "../../catalog/standing.ts";
import { windowsOf } from "../../catalog/windows.ts";
import { type SealedFacts, sealOf } from "../../catalog/seal.ts";
import { backupJson } from "../backups.ts";
import { commonFlags, defineCommand, merge, object, optionalArgument } from "../command.ts";
import { errorJson } from "../errors.ts";
import type { Session } from "../session.ts";
import { type Column, formatTable, tableLines } from "../table.ts";
import { formatTime, formatTook } from "../times.ts";
import { windowText } from "../window-text.ts";

/** `list [JOB]`. */
export const list = defineCommand({
  path: ["list"],
  brief: "List backups, newest first.",
  description:
    "Lists the backups of all destinations of the config, or of those that --from names. " +
    "Only what is committed is listed. A destination that cannot be looked at is an error, and in " +
    "JSON an entry whose id is null.",
  examples: [
    "dbbackup list",
    "dbbackup list shop",
    "dbbackup list --from ./backups --json | jq -r '.[0].id'",
  ],
  parser: merge(
    object({ job: optionalArgument("JOB", "Only backups of this job."), from: fromOption() }),
    commonFlags,
  ),
  async run({ job, from, json }, session) {
    const destinations = await session.destinations(from);
    const { backups, unreached, ahead, places } = await listBackups(destinations, {
      ...session.job("list"),
      patience: briefPatience,
      ...(job === undefined ? {} : { job }),
      isBrief: !json,
    });
    session.clearProgress();
    const config = session.loadedConfig();
    const isWhole = unreached.length === 0;
    if (job !== undefined && backups.length === 0 && isWhole && config?.jobs.has(job) !== true) {
      throw unknownJob(
        job,
        await listJobs(destinations, { ...session.job("list"), patience: briefPatience }),
        config,
      );
    }
    const expected = (name: string) => {
      // What cannot be reached may have them all.
      if (!isWhole) return [];
      const own = config?.jobs.get(name)?.destinations.map((one) => one.name);
      return own?.filter((one) => places.includes(one)) ?? places;
    };
    if (backups.length === 0) session.print("No backups.");
    else if (!json) {
      printLines(backupTable(backups, expected, ahead, session), session);
      printWindows(backups.filter(({ id }) => !ahead.includes(id)), session);
      printDrills(backups, session);
    }
    for (const { id, error } of backups) {
      if (error !== undefined) {
        session.print(`${id} is unreadable: ${error.message} (${error.code})`);
      }
    }
    if (ahead.length > 0) session.warn(aheadWarning(ahead, session.host.now()));
    /** One by one, as they are written: of ten thousand, the objects take 50 MB. */
    function* entries(): Generator<Record<string, unknown>> {
      const sweep = createSweeper();
      for (const one of backups) {
        sweep();
        yield { ...backupJson(one, session), isDatedAhead: ahead.includes(one.id) };
      }
      for (const { name, error } of unreached) {
        yield { id: null, destinations: [name], error: errorJson(error, session.secrets) };
      }
    }
    const errors = unreached.map(unreachedError);
    for (const error of errors) session.complain(error);
    return {
      json: json ? entries() : undefined,
      codes: errors.map(({ code }) => code),
    };
  },
});

// A write for each line of ten thousand takes longer than all else.
const linesAtOnce = 200;

function printLines(lines: Iterable<string>, session: Session): void {
  let some: string[] = [];
  const sweep = createSweeper();
  for (const line of lines) {
    if (some.push(line) < linesAtOnce) continue;
    session.print(some.join("\n"));
    sweep(some.length);
    some = [];
  }
  if (some.length > 0) session.print(some.join("\n"));
}

// More are of interest to nobody at a glance; `show` tells each.
const mostWindows = 10;

/** From when to when each chain restores, where there is one. */
function printWindows(backups: readonly ListedBackup[], session: Session): void {
  // A backup is as good as the best of its copies.
  const windows = windowsOf(backups.map((one) => {
    const { summary: manifest, copies } = one;
    if (manifest === undefined && copies.length === 1) return one;
    const { marks } = copies.find(({ marks }) => standingOf(marks) !== "damaged") ?? one;
    return { ...one, manifest, marks };
  }));
  if (windows.length === 0) return;
  const shown = windows.slice(0, mostWindows);
  session.print("");
  session.print(formatTable(
    [{ title: "CHAIN" }, { title: "JOB" }, { title: "RESTORES TO" }],
    shown.map((one) => [one.baseId, one.job, windowText(one)]),
  ));
  const more = windows.length - shown.length;
  if (more > 0) session.print(`and ${counted(more, "older chain")}`);
}

/** The last drill of each job, where there was one. */
function printDrills(backups: readonly ListedBackup[], session: Session): void {
  const last = new Map<string, { readonly id: string; readonly at: Date; readonly ms: number }>();
  for (const { job, id, marks } of backups) {
    for (const mark of marks) {
      if (mark.type !== "drilled") continue;
      const before = last.get(job);
      if (before !== undefined && before.at >= mark.at) continue;
      last.set(job, { id, at: mark.at, ms: mark.restoreMs });
    }
  }
  if (last.size === 0) return;
  session.print("");
  for (const [job, { id, at, ms }] of last) {
    session.print(
      `Last drill of ${job}: ${id}, ${formatTime(at)}, restored in ${formatTook(ms)}`,
    );
  }
}

function unreachedError({ name, error: { code, message, hint } }: FailedDestination): BackupError {
  return new BackupError(code, `Backups that only "${name}" has are not listed: ${message}`, {
    hint,
  });
}

function unknownJob(job: string, stored: readonly string[], config: Config | undefined) {
  const known = [...new Set([...config?.jobs.keys() ?? [], ...stored])];
  return new BackupError("usage/unknown-job", `There is no backup of a job "${job}"`, {
    hint: known.length === 0
      ? "There is no backup here at all: check the destination."
      : suggestion(job, known),
  });
}

const columns: readonly Column[] = [
  { title: "TIME" },
  { title: "ID" },
  { title: "JOB" },
  { title: "KIND", maxWidth: 4 },
  { title: "SIZE", isRight: true },
  { title: "TOOK", isRight: true },
  { title: "AGE", isRight: true },
  { title: "NOTES" },
];
const [jobColumn, sizeColumn] = [2, 4];
const narrowJob = 16;

/** The table of `list`. */
function backupTable(
  backups: readonly ListedBackup[],
  expected: (job: string) => readonly string[],
  ahead: readonly string[],
  session: Session,
): Iterable<string> {
  const now = session.host.now().getTime();
  const sweep = createSweeper();
  const sources = new Map<string, Set<string>>();
  for (const { job, sourceTag } of backups) {
    sources.set(job, (sources.get(job) ?? new Set()).add(sourceTag));
  }
  const toRow = (backup: ListedBackup) => {
    const isMissing = expected(backup.job).some((name) => !backup.destinations.includes(name));
    return row(backup, now, [
      ...isMissing ? [`only at ${backup.destinations.join(", ")}`] : [],
      ...ahead.includes(backup.id) ? ["dated in the future"] : [],
      ...momentOf(backup) < backup.createdAt
        ? [`stored ${formatTime(momentOf(backup))}: clock was ahead`]
        : [],
      ...sources.get(backup.job)!.size > 1 ? [`server ${backup.sourceTag}`] : [],
    ]);
  };
  const { isTerminal, columns: width } = session.host.stdout;
  if (isTerminal) return [fitted(backups.map(toRow), width)];
  // Made again for each time that they are gone through: of ten thousand, the cells take 15 MB.
  const rows = {
    *[Symbol.iterator]() {
      for (const backup of backups) {
        sweep();
        yield toRow(backup);
      }
    },
  };
  return tableLines(columns, rows);
}

/**
 * The table within a width, where there is one: of what is too wide, the size is only the stored one,
 * then a job's name is cut; notes that do not fit stand on lines of their own.
 */
export function fitted(rows: readonly (readonly string[])[], width: number | undefined): string {
  if (width === undefined) return formatTable(columns, rows);
  const facts = rows.map((cells) => cells.slice(0, -1));
  const withStored = facts.map((cells) =>
    cells.with(sizeColumn, cells[sizeColumn]!.split("→ ").at(-1)!)
  );
  const heads = columns.slice(0, -1);
  const cut = heads.with(jobColumn, { ...heads[jobColumn]!, maxWidth: narrowJob });
  const lines = [[heads, facts], [heads, withStored], [cut, withStored]] as const;
  const tables = lines.map(([head, cells]) => formatTable(head, cells).split("\n"));
  const isNarrow = (table: readonly string[]) => table.every((line) => [...line].length <= width);
  const [title = "", ...table] = tables.find(isNarrow) ?? tables.at(-1)!;
  const notes = rows.map((cells) => cells.at(-1)!);
  const start = Math.max(...[title, ...table].map((line) => [...line].length)) + 2;
  const areBeside = notes.every((note) => start + [...note].length <= width);
  const isNoted = notes.some((note) => note !== "");
  return [
    isNoted && areBeside ? `${title.padEnd(start)}NOTES` : title,
    ...table.flatMap((line, index) => {
      const note = notes[index]!;
      if (note === "") return [line];
      const space = " ".repeat(Math.max(0, start - [...line].length));
      if (areBeside) return [`${line}${space}${note}`];
      return [line, ...wrapped(note, width - noteIndent.length).map((one) => noteIndent + one)];
    }),
  ].join("\n");
}

const noteIndent = " ".repeat(22);

/** Breaks a text between words, to lines of at most a width. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && [...last].length + 1 + [...word].length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}

function row(backup: ListedBackup, nowMs: number, more: readonly string[]): string[] {
  const facts = backup.error === undefined
    ? sealOf(backup.files.keys())?.facts ?? factsOf(backup)
    : undefined;
  const stored = formatBytes(backup.storedBytes);
  const startedMs = backup.createdAt.getTime();
  return [
    formatTime(backup.createdAt),
    backup.id,
    backup.job,
    kindWords[backup.kind] ?? backup.kind,
    facts === undefined ? stored : `${formatBytes(facts.rawBytes)} → ${stored}`,
    facts === undefined ? "?" : formatDuration(tookMs(facts)).split(" ").join(""),
    formatDuration(Math.max(0, nowMs - startedMs)).split(" ")[0]!,
    [...notes(backup), ...more].join(", "),
  ];
}

type Facts = Pick<SealedFacts, "startedAt" | "finishedAt" | "rawBytes">;

/** What a seal would say, of a backup that has none. */
function factsOf({ createdAt, summary }: ListedBackup): Facts | undefined {
  return summary && {
    startedAt: createdAt,
    finishedAt: new Date(summary.finishedAt),
    rawBytes: summary.rawBytes,
  };
}

function tookMs({ startedAt, finishedAt }: Facts): number {
  return finishedAt.getTime() - startedAt.getTime();
}

const kindWords: Readonly<Record<string, string>> = {
  full: "full",
  differential: "diff",
  incremental: "incr",
};

function notes({ summary, files, copies, error }: ListedBackup): string[] {
  const isAnew = sealOf(files.keys())?.facts?.isInstead === true ||
    summary?.isInstead === true;
  const words = [
    ...isAnew ? ["new chain"] : [],
    ...standings.flatMap((word) => noted(word, copies, ({ marks }) => standingOf(marks) === word)),
    ...noted("drilled", copies, ({ marks }) => marks.some(({ type }) => type === "drilled")),
    ...noted("hold", copies, ({ marks }) => marks.some(({ type }) => type === "hold")),
  ];
  if (error !== undefined) words.unshift("unreadable");
  const omitted = summary?.omitted.map(({ name }) => name) ?? [];
  if (omitted.length > 0) words.push(`without ${omitted.join(", ")}`);
  return words;
}

const standings = ["damaged", "suspect", "verified"] as const;

/** A word, with where it holds when that is not everywhere. */
function noted(
  word: string,
  copies: readonly ListedCopy[],
  holds: (copy: ListedCopy) => boolean,
): string[] {
  const where = copies.filter(holds).map(({ destination }) => destination);
  if (where.length === 0) return [];
  return [where.length === copies.length ? word : `${word} at ${where.join(" and ")}`];
}
