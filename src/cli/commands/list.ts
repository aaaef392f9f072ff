import { fromOption } from "../from.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import { listBackups } from "../../jobs/list.ts";
import type { ListedBackup } from "../../jobs/types.ts";
import { formatBytes, formatDuration } from "../../core/text.ts";
import { backupJson, marksOf, rawBytesOf } from "../backups.ts";
import { commonFlags, defineCommand, merge, object, optionalArgument } from "../command.ts";
import type { Session } from "../session.ts";
import { type Column, formatTable } from "../table.ts";
import { formatTime } from "../times.ts";

/** `list [JOB]`. */
export const list = defineCommand({
  path: ["list"],
  brief: "List backups, newest first.",
  description:
    "Lists the backups of all destinations of the config, or of those that --from names. " +
    "Only what is committed is listed.",
  examples: [
    "dbbackup list",
    "dbbackup list shop",
    "dbbackup list --from ./backups --json | jq -r '.[0].id'",
  ],
  parser: merge(
    object({ job: optionalArgument("JOB", "Only backups of this job."), from: fromOption() }),
    commonFlags,
  ),
  async run({ job, from }, session) {
    const destinations = await session.destinations(from);
    const { backups, warnings } = await listBackups(destinations, {
      ...session.job("list"),
      ...(job === undefined ? {} : { job }),
    });
    session.clearProgress();
    for (const warning of warnings) session.warn(warning);
    session.print(backups.length === 0 ? "No backups." : backupTable(backups, session));
    for (const { id, error } of backups) {
      if (error !== undefined) {
        session.print(`${id} is unreadable: ${error.message} (${error.code})`);
      }
    }
    return { json: backups.map((backup) => backupJson(backup, session)) };
  },
});

const columns: readonly Column[] = [
  { title: "TIME" },
  { title: "ID" },
  { title: "JOB", maxWidth: 16 },
  { title: "KIND", maxWidth: 4 },
  { title: "SIZE", isRight: true },
  { title: "TOOK", isRight: true },
  { title: "AGE", isRight: true },
  { title: "NOTES", maxWidth: 18 },
];

/** The table of `list`; at most 100 columns wide. */
export function backupTable(backups: readonly ListedBackup[], session: Session): string {
  const now = session.host.now().getTime();
  return formatTable(columns, backups.map((backup) => row(backup, now)));
}

function row(backup: ListedBackup, nowMs: number): string[] {
  const { manifest } = backup;
  const stored = formatBytes(backup.storedBytes);
  const startedMs = backup.createdAt.getTime();
  return [
    formatTime(backup.createdAt).replace(/:\d\dZ$/, "Z"),
    backup.id,
    backup.job,
    kindWords[backup.kind] ?? backup.kind,
    manifest === undefined ? stored : `${formatBytes(rawBytesOf(manifest))} → ${stored}`,
    manifest === undefined ? "?" : formatDuration(tookMs(manifest)).split(" ").join(""),
    formatDuration(Math.max(0, nowMs - startedMs)).split(" ")[0]!,
    notes(backup).join(", "),
  ];
}

/** How long the run took; a folder's name tells its start only to the second. */
function tookMs({ startedAt, finishedAt }: Manifest): number {
  return new Date(finishedAt).getTime() - new Date(startedAt).getTime();
}

const kindWords: Readonly<Record<string, string>> = {
  full: "full",
  differential: "diff",
  incremental: "incr",
};

function notes({ manifest, marks, error }: ListedBackup): string[] {
  const words: string[] = marksOf(marks).map(({ type }) => type);
  if (error !== undefined) words.unshift("unreadable");
  const omitted = manifest?.omitted.map(({ name }) => name) ?? [];
  if (omitted.length > 0) words.push(`without ${omitted.join(", ")}`);
  return words;
}
