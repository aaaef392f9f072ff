import { BackupError } from "../../core/errors.ts";
import { suggestion } from "../../core/text.ts";
import type {
  RestorableArtifact,
  RestorableBackup,
  RestorableChain,
  RestoreOptions,
} from "../../contracts/restore.ts";
import { archiveFormat } from "./archive/format.ts";

/** One database of a backup that is to be restored. */
export interface SelectedDatabase {
  readonly name: string;
  readonly artifact: RestorableArtifact;
}

/** PostgreSQL's full backups stand alone. @throws BackupError `restore/failed` */
export function onlyBackup(chain: RestorableChain): RestorableBackup {
  const backup = chain[0];
  if (backup !== undefined && chain.length === 1) return backup;
  throw new BackupError("restore/failed", `Cannot restore a chain of ${chain.length} backups`, {
    hint: "Restore the full backup alone.",
  });
}

/** The databases asked for, with their archives. @throws BackupError `restore/no-such-object` */
export function selectDatabases(
  chain: RestorableChain,
  { databases }: RestoreOptions,
): SelectedDatabase[] {
  const { artifacts } = onlyBackup(chain);
  const all = artifacts.filter(({ role }) => role === "dump").map((artifact) => {
    const [name] = artifact.databases;
    if (artifact.format === archiveFormat.id && name !== undefined) return { name, artifact };
    throw new BackupError("restore/failed", `Cannot restore an artifact of ${artifact.format}`, {
      hint: "Restore it to a database of the kind that it was taken from.",
    });
  });
  if (databases === undefined) return all;
  return databases.map((name) => {
    const found = all.find((one) => one.name === name);
    if (found !== undefined) return found;
    throw new BackupError("restore/no-such-object", `The backup has no database "${name}"`, {
      hint: suggestion(name, all.map((one) => one.name)),
    });
  });
}
