import { resolveBackup } from "../catalog/catalog.ts";
import type { ListedBackup } from "../jobs/types.ts";

/** The one backup that a shortened id means; see {@link resolveBackup}. */
export function resolveBackupId(backups: readonly ListedBackup[], id: string): ListedBackup {
  const { prefix } = resolveBackup(backups, id);
  return backups.find((backup) => backup.prefix === prefix)!;
}
