import type { JobDefinition } from "../config/model.ts";
import type { Kind } from "../contracts/manifest.ts";
import { type ErrorCode, toBackupError } from "../core/errors.ts";
import { previewBackup } from "../jobs/backup/preview.ts";
import type { BackupPreview } from "../jobs/backup/types.ts";
import type { Outcome } from "./command.ts";
import { errorJson } from "./errors.ts";
import type { Session } from "./session.ts";

/** Says what runs of these jobs would take; one that fails does not keep the next from being looked at. */
export async function previewJobs(
  jobs: readonly JobDefinition[],
  kind: Kind | undefined,
  session: Session,
): Promise<Outcome> {
  const json: unknown[] = [];
  const codes: ErrorCode[] = [];
  for (const job of jobs) {
    try {
      const forced = kind === undefined ? {} : { kind };
      const preview = await previewBackup(job, { ...session.job(job.name), ...forced });
      session.clearProgress();
      session.print(describe(preview, session));
      json.push({ ...preview, parent: preview.parent ?? null, error: null });
    } catch (reason) {
      session.host.signal.throwIfAborted();
      const error = toBackupError(reason);
      session.complain(error);
      codes.push(error.code);
      json.push({ job: job.name, error: errorJson(error, session.secrets) });
    }
  }
  return { json: { previews: json }, codes };
}

function describe(preview: BackupPreview, session: Session): string {
  const { job, kind, parent, reason, wanted, healed, refused, warnings } = preview;
  const on = parent === undefined ? "" : ` on ${parent}`;
  const instead = wanted === undefined ? "" : ` instead of ${wanted}`;
  return [
    `would back up  ${job}, ${kind}${on}${instead}`,
    `  ${reason}`,
    ...healed.map(({ destination, backups }) =>
      `  "${destination}" would first be given what it lacks: ${backups.join(", ")}`
    ),
    ...refused.map(({ destination, reason }) =>
      session.paint("red", `  "${destination}" would be left out: ${reason}`)
    ),
    ...warnings.map((warning) => `  warning: ${warning}`),
  ].join("\n");
}
