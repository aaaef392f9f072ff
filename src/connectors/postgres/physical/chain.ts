import { BackupError } from "../../../core/errors.ts";
import { suggestion } from "../../../core/text.ts";
import type {
  RestorableArtifact,
  RestorableChain,
  RestoreOptions,
} from "../../../contracts/restore.ts";
import type { Until } from "../../../contracts/changes.ts";
import { baseRole, logRole } from "./continuation.ts";
import { type LogPosition, logPosition } from "./lsn.ts";

/** A chain of physical backups, as a restore needs it. */
export interface PhysicalChain {
  readonly base: RestorableArtifact;
  /** The pieces of the log, in order. */
  readonly logs: readonly RestorableArtifact[];
  /** The databases that the job was about; the files are those of the whole server. */
  readonly databases: readonly string[];
  /** Where the last backup ends. */
  readonly end: LogPosition;
  readonly until: Until | undefined;
  /** `15`. */
  readonly major: number;
  /** `15.18`. */
  readonly version: string;
  /** Bytes of the files and the log, as they are unpacked. */
  readonly bytes: number;
}

/** @throws BackupError `restore/failed`, `restore/no-such-object` */
export function physicalChain(
  chain: RestorableChain,
  { databases: wanted, until }: Pick<RestoreOptions, "databases" | "until">,
): PhysicalChain {
  const artifacts = chain.flatMap((one) => one.artifacts);
  const bases = artifacts.filter(({ role }) => role === baseRole);
  const logs = artifacts.filter(({ role }) => role === logRole);
  const { manifest } = chain.at(-1)!;
  const end = logPosition(manifest.position.to);
  const [base] = bases;
  if (base === undefined || bases.length > 1 || end === undefined || artifacts[0] !== base) {
    throw new BackupError(
      "restore/failed",
      `Backup ${manifest.id} is no chain of one base backup`,
      {
        hint: "Its manifests were changed. Restore another backup.",
      },
    );
  }
  const databases = wanted ?? base.databases;
  const missing = databases.find((name) => !base.databases.includes(name));
  if (missing !== undefined) {
    throw new BackupError("restore/no-such-object", `The backup has no database "${missing}"`, {
      hint: suggestion(missing, base.databases),
    });
  }
  return {
    ...{ base, logs, databases, end, until },
    major: Number.parseInt(manifest.source.version),
    version: manifest.source.version,
    bytes: [base, ...logs].reduce((sum, { rawBytes }) => sum + rawBytes, 0),
  };
}
