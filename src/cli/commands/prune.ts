import { isAhead } from "../../catalog/moment.ts";
import { isTimeZone, systemTimeZone } from "../../catalog/periods.ts";
import type { RetentionPolicy } from "../../catalog/retention.ts";
import type { Config, DestinationDefinition, JobRetention } from "../../config/model.ts";
import { defaultAbandonedAfterMs } from "../../config/model.ts";
import { parseDuration } from "../../core/units.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { counted, formatBytes, suggestion } from "../../core/text.ts";
import { aheadWarning } from "../../jobs/shared/clock.ts";
import { listJobs } from "../../jobs/list/list.ts";
import { pruneBackups } from "../../jobs/prune/prune.ts";
import type { PruneOutcome, PruneRequest, PruneResult } from "../../jobs/prune/types.ts";
import {
  commonFlags,
  countOption,
  defineCommand,
  merge,
  object,
  restArguments,
  textOption,
  toggle,
} from "../command.ts";
import { errorJson } from "../errors.ts";
import { fromOption } from "../from.ts";
import type { Session } from "../session.ts";
import { type Column, formatTable } from "../table.ts";
import { formatTime } from "../times.ts";
import { pickJobs } from "./backup.ts";

const flags = object({
  jobs: restArguments("JOB", "Jobs whose backups are pruned. Default: all."),
  from: fromOption(),
  dryRun: toggle("--dry-run", "Print what would be dropped, and why, and change nothing."),
  last: countOption("--last", "N", "Keep the newest N. These rules replace those of the config."),
  hourly: countOption("--hourly", "N", "Keep the last backup of each of N hours that have one."),
  daily: countOption("--daily", "N", "Keep the last backup of each of N days that have one."),
  weekly: countOption("--weekly", "N", "Keep the last backup of each of N weeks that have one."),
  monthly: countOption("--monthly", "N", "Keep the last backup of each of N months that have one."),
  yearly: countOption("--yearly", "N", "Keep the last backup of each of N years that have one."),
  maxAge: textOption("--max-age", "TIME", 'Drop older ones, whatever rule keeps them: "90d".'),
  minKeep: countOption("--min-keep", "N", "Keep the newest N, however old they are."),
  timezone: textOption("--timezone", "ZONE", "Whose days and weeks count: Europe/Berlin."),
});

/** `prune [JOB…]`. */
export const prune = defineCommand({
  path: ["prune"],
  brief: "Drop the backups that retention does not keep.",
  description:
    "Drops what the retention of each job does not keep, and what unfinished runs left behind. " +
    "It never drops the newest good backup, what a kept one needs, what is on hold, or folders " +
    "that dbbackup did not write. With --from it needs no config; then the rules are flags.",
  examples: [
    "dbbackup prune --dry-run",
    "dbbackup prune shop",
    "dbbackup prune --from ./backups --daily 7 --weekly 4 --monthly 12 --dry-run",
  ],
  parser: merge(flags, commonFlags),
  async run(values, session) {
    const requests = values.from.length === 0
      ? configRequests(values, await session.config())
      : await adHocRequests(values, await session.namedConfig(), session);
    const results: PruneResult[] = [];
    for (const request of requests) {
      const pruned = await pruneBackups(request, session.job(request.job));
      session.clearProgress();
      for (const result of pruned) session.print(describe(result, session));
      results.push(...pruned);
    }
    const errors = results.flatMap(({ error }) => error ?? []);
    if (errors.length === 0 && results.every(isEmpty)) throw nothingThere(requests, values);
    const ahead = results.flatMap(({ backups }) => backups)
      .filter(({ ref }) => isAhead(ref, session.host.now())).map(({ ref }) => ref.id);
    if (ahead.length > 0) {
      session.warn(aheadWarning([...new Set(ahead)], session.host.now()));
    }
    for (const error of errors) session.complain(error);
    return {
      json: results.map((result) => resultJson(result, values.dryRun, session)),
      codes: errors.map(({ code }) => code),
    };
  },
});

function isEmpty({ backups, abandoned, swept }: PruneResult): boolean {
  return backups.length + abandoned.length + swept === 0;
}

/** A prune of nothing may be one of the wrong place. */
function nothingThere(requests: readonly PruneRequest[], { jobs, from }: Values): BackupError {
  const names = requests.flatMap(({ destinations }) => destinations.map(({ name }) => name));
  const places = [...new Set(names.length === 0 ? from : names)].map((name) => `"${name}"`);
  const whose = jobs.length === 0 ? "" : ` of ${jobs.map((job) => `"${job}"`).join(", ")}`;
  return new BackupError(
    "storage/no-backup",
    `There is no backup${whose} at ${places.join(", ")}, and nothing to prune`,
    { hint: "Check the destination: it holds nothing, or its disk is not mounted." },
  );
}

type Values = Readonly<Record<(typeof countFlags)[number], number | undefined>> & {
  readonly jobs: readonly string[];
  readonly from: readonly string[];
  readonly dryRun: boolean;
  readonly maxAge: string | undefined;
  readonly timezone: string | undefined;
};

const countFlags = [
  "last",
  "hourly",
  "daily",
  "weekly",
  "monthly",
  "yearly",
  "minKeep",
] as const;

function configRequests(values: Values, { jobs }: Config): PruneRequest[] {
  const chosen = values.jobs.length === 0 ? [...jobs.values()] : pickJobs(values.jobs, jobs);
  const given = givenRetention(values);
  const timezone = givenTimezone(values);
  return chosen.map((job) => ({
    job: job.name,
    destinations: job.destinations,
    retention: given ?? job.retention,
    timezone: timezone ?? job.timezone,
    abandonedAfterMs: job.abandonedAfterMs,
    isDryRun: values.dryRun,
  }));
}

/** Without a config nothing says what to keep, so the flags must. */
async function adHocRequests(
  values: Values,
  config: Config | undefined,
  session: Session,
): Promise<PruneRequest[]> {
  const destinations = await session.destinations(values.from);
  const given = givenRetention(values);
  const timezone = givenTimezone(values);
  const names = await adHocJobs(values.jobs, destinations, config, session);
  return names.map((job) => {
    const known = config?.jobs.get(job);
    const retention = given ?? known?.retention;
    if (retention === undefined) {
      throw new BackupError("usage/missing-retention", `Nothing says which of "${job}" to keep`, {
        hint:
          "Give rules: --last 7, or --daily 7 --weekly 4 --monthly 12. With --dry-run nothing is dropped.",
      });
    }
    return {
      job,
      destinations,
      retention,
      timezone: timezone ?? known?.timezone ?? systemTimeZone(),
      abandonedAfterMs: known?.abandonedAfterMs ?? defaultAbandonedAfterMs,
      isDryRun: values.dryRun,
    };
  });
}

/** The jobs that are named, else all that have backups there. */
async function adHocJobs(
  named: readonly string[],
  destinations: readonly DestinationDefinition[],
  config: Config | undefined,
  session: Session,
): Promise<readonly string[]> {
  const there = await listJobs(destinations, session.job("prune")).catch((error: unknown) => {
    // Where they cannot be listed, the prune itself says so, and prunes at the others.
    if (named.length > 0 && hasCode(error, "storage/")) return undefined;
    throw error;
  });
  session.clearProgress();
  if (there === undefined) return [...new Set(named)];
  const known = [...new Set([...there, ...config?.jobs.keys() ?? []])];
  const unknown = named.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new BackupError("usage/unknown-job", `There are no backups of a job "${unknown}" there`, {
      hint: suggestion(unknown, known),
    });
  }
  return named.length > 0 ? [...new Set(named)] : there;
}

function givenRetention(values: Values): JobRetention | undefined {
  const counts = Object.fromEntries(
    countFlags.flatMap((name) => values[name] === undefined ? [] : [[name, values[name]]]),
  );
  const maxAge = values.maxAge === undefined ? {} : { maxAgeMs: maxAgeMs(values.maxAge) };
  const policy: RetentionPolicy = { ...counts, ...maxAge };
  return Object.keys(policy).length === 0 ? undefined : { policy, destinations: new Map() };
}

function maxAgeMs(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new BackupError("usage/bad-value", `Cannot read --max-age "${text}"`, {
    hint: /^\d+(\.\d+)?$/.test(text)
      ? `A number needs its unit: ${text}d or ${text}w. Write it like 90d or 12w.`
      : "Write it like 90d or 12w.",
  });
}

function givenTimezone({ timezone }: Values): string | undefined {
  if (timezone === undefined || isTimeZone(timezone)) return timezone;
  throw new BackupError("usage/bad-value", `There is no time zone "${timezone}"`, {
    hint: "Write it like Europe/Berlin, or UTC.",
  });
}

const columns: readonly Column[] = [
  { title: "TIME" },
  { title: "ID" },
  { title: "KIND", maxWidth: 4 },
  { title: "SIZE", isRight: true },
  { title: "WHAT" },
  { title: "WHY", maxWidth: 60 },
];

function describe(result: PruneResult, session: Session): string {
  const { job, destination, location, backups, abandoned, swept } = result;
  const place = destination === location ? location : `${destination} (${location})`;
  const lines = [session.paint("bold", `${job} at ${place}`)];
  const rows = [
    ...backups.map(({ ref, reasons, outcome }) => [
      formatTime(ref.createdAt),
      ref.id,
      ref.kind.slice(0, 4),
      formatBytes(ref.storedBytes),
      word(outcome),
      reasons.join(", "),
    ]),
    ...abandoned.map(({ id, newestAt, storedBytes, reason, outcome }) => [
      formatTime(newestAt),
      id,
      "none",
      formatBytes(storedBytes),
      word(outcome),
      `unfinished: ${reason}`,
    ]),
  ];
  if (rows.length > 0) lines.push(formatTable(columns, rows));
  else lines.push(result.error === undefined ? "No backups." : "Could not be looked at.");
  if (rows.length > 0) lines.push(sum(result));
  if (swept > 0) lines.push(`Removed ${counted(swept, "unfinished upload")}.`);
  return lines.join("\n");
}

/** How many stay and how many go. */
function sum({ backups, abandoned }: PruneResult): string {
  const all = [...backups, ...abandoned].map(({ outcome }) => outcome.status);
  const count = (...wanted: PruneOutcome["status"][]) =>
    all.filter((status) => wanted.includes(status)).length;
  const others = count("retained", "failed");
  return [
    `${count("kept")} kept`,
    count("planned") > 0 ? `${count("planned")} to be dropped` : `${count("dropped")} dropped`,
    ...others > 0 ? [`${others} not dropped`] : [],
  ].join(", ");
}

function word(outcome: PruneOutcome): string {
  switch (outcome.status) {
    case "kept":
      return "keep";
    case "planned":
      return "drop";
    case "retained":
      return `retained until ${formatTime(outcome.until)}`;
    default:
      return outcome.status;
  }
}

function resultJson(result: PruneResult, isDryRun: boolean, session: Session): unknown {
  const { job, destination, location, swept, error } = result;
  return {
    job,
    destination,
    location,
    isDryRun,
    backups: result.backups.map(({ ref, action, reasons, outcome }) => ({
      id: ref.id,
      kind: ref.kind,
      parent: ref.parentId ?? null,
      createdAt: ref.createdAt.toISOString(),
      storedBytes: ref.storedBytes,
      action,
      reasons,
      ...outcomeJson(outcome, session),
    })),
    abandoned: result.abandoned.map(({ outcome, reason, ...folder }) => ({
      id: folder.id,
      prefix: folder.prefix,
      newestAt: folder.newestAt.toISOString(),
      storedBytes: folder.storedBytes,
      reasons: [reason],
      ...outcomeJson(outcome, session),
    })),
    swept,
    error: error === undefined ? null : errorJson(error, session.secrets),
  };
}

function outcomeJson(outcome: PruneOutcome, session: Session) {
  return {
    status: outcome.status,
    retainedUntil: outcome.status === "retained" ? outcome.until.toISOString() : null,
    error: outcome.status === "failed" ? errorJson(outcome.error, session.secrets) : null,
  };
}
