import type { Config, DestinationDefinition } from "../config/model.ts";
import { standingOf } from "../catalog/standing.ts";
import type { Mark } from "../contracts/strategy.ts";
import { listRefs } from "../jobs/list/list.ts";
import { unreachedError } from "../jobs/shared/resolve-reached.ts";
import type { ListedBackup } from "../jobs/list/types.ts";
import { errorJson } from "./errors.ts";
import type { Session } from "./session.ts";
import { BackupError } from "../core/errors.ts";
import { suggestion } from "../core/text.ts";

/** Each mark once, the newest of its type: several destinations may carry the same. */
export function marksOf(marks: readonly Mark[]): Mark[] {
  const newest = new Map<string, Mark>();
  for (const mark of marks) {
    const other = newest.get(mark.type);
    if (other === undefined || timeOf(mark) > timeOf(other)) newest.set(mark.type, mark);
  }
  return [...newest.values()];
}

/** A backup as `list --json` tells it. */
export function backupJson(backup: ListedBackup, session: Session): Record<string, unknown> {
  const { summary } = backup;
  return {
    id: backup.id,
    job: backup.job,
    kind: backup.kind,
    parent: backup.parentId ?? null,
    createdAt: backup.createdAt.toISOString(),
    finishedAt: summary?.finishedAt ?? null,
    consistentAt: summary?.consistentAt ?? null,
    window: summary?.window ?? null,
    rawBytes: summary?.rawBytes ?? null,
    storedBytes: backup.storedBytes,
    source: summary?.source ?? { tag: backup.sourceTag },
    encryption: summary?.encryption ?? null,
    databases: summary?.databases ?? null,
    destinations: backup.destinations,
    prefix: backup.prefix,
    marks: marksJson(backup.marks),
    copies: backup.copies.map(({ destination, marks }) => ({
      destination,
      standing: standingOf(marks),
      marks: marksJson(marks),
    })),
    omitted: summary?.omitted ?? null,
    warnings: summary?.warnings ?? null,
    error: backup.error === undefined ? null : errorJson(backup.error, session.secrets),
  };
}

function marksJson(marks: readonly Mark[]): readonly unknown[] {
  return marksOf(marks).map((mark) =>
    mark.type === "hold" ? mark : { ...mark, at: mark.at.toISOString() }
  );
}

/** What a word on the command line means: a job or a backup's id. */
export type Wanted = { readonly job?: string; readonly backup?: string };

/**
 * Tells whether a word is a job's name or a backup's id. A job of the config is one without a look
 * at any destination; otherwise the destinations tell.
 */
export async function jobOrBackup(
  word: string | undefined,
  config: Config | undefined,
  destinations: readonly DestinationDefinition[],
  session: Session,
): Promise<Wanted> {
  if (word === undefined) return {};
  if (config?.jobs.has(word) === true) return { job: word };
  const { refs: backups, unreached } = await listRefs(destinations, session.job("list"));
  session.clearProgress();
  if (backups.some(({ job }) => job === word)) return { job: word };
  if (backups.some(({ id }) => id.startsWith(word.toLowerCase()))) return { backup: word };
  const unseen = unreachedError(`job or backup "${word}"`, unreached);
  if (unseen !== undefined) throw unseen;
  const jobs = [...new Set([...config?.jobs.keys() ?? [], ...backups.map(({ job }) => job)])];
  throw new BackupError("usage/no-such-backup", `There is no job or backup "${word}"`, {
    hint: backups.length === 0
      ? "There is no backup here at all: check the destination."
      : `${
        suggestion(word, jobs)
      } \`dbbackup list\`, with the same --from or --config, shows jobs and ids.`,
  });
}

function timeOf(mark: Mark): number {
  return mark.type === "hold" ? 0 : mark.at.getTime();
}
