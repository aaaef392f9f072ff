import type { JobDefinition } from "../../config/model.ts";
import type { DumpResult } from "../../contracts/dump.ts";
import { type Artifact, type Manifest, manifestFormatVersion } from "../../contracts/manifest.ts";
import { version } from "../../core/version.ts";
import type { IdentifiedSource } from "../shared/source.ts";
import type { Writer } from "./one-writer.ts";
import type { BackupPlan } from "./plan.ts";

/** What a manifest is made from. */
export interface DescribedBackup {
  readonly id: string;
  readonly job: JobDefinition;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly plan: BackupPlan;
  readonly source: IdentifiedSource;
  readonly writer: Writer;
  readonly dump: DumpResult;
  readonly artifacts: readonly Artifact[];
}

/** The manifest of a backup, but for what only its end tells: RESTORE.txt and the inventory. */
export function describe(
  { id, job, startedAt, finishedAt, plan, source, writer, dump, artifacts }: DescribedBackup,
): Manifest {
  const { info, stored, wanted } = plan;
  const { from, to, window } = dump;
  return {
    formatVersion: manifestFormatVersion,
    id,
    job: job.name,
    kind: plan.kind,
    parent: stored === undefined ? null : { id: stored.manifest.id, manifestSha256: stored.sha256 },
    strategy: {
      id: job.strategy.id,
      reason: plan.reason,
      ...wanted === undefined ? {} : { wanted },
    },
    source: {
      kind: source.kind,
      id: source.id,
      tag: source.tag,
      flavour: info.flavour,
      version: info.version,
    },
    writer,
    tool: { name: "dbbackup", version },
    clientTools: info.tools.flatMap(({ name, version }) =>
      version === undefined ? [] : [{ name, version }]
    ),
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt.toISOString(),
    consistentAt: dump.consistentAt.toISOString(),
    ...window === undefined
      ? {}
      : { window: { from: window.from.toISOString(), to: window.to.toISOString() } },
    position: { ...from === undefined ? {} : { from }, ...to === undefined ? {} : { to } },
    clockOffsetMs: info.clockOffsetMs,
    settings: { ...job.settings } as Manifest["settings"],
    omitted: [...dump.omitted],
    // Each once: a connector may say the same before the dump and after it.
    warnings: [...new Set([...info.warnings, ...dump.warnings])],
    artifacts: [...artifacts],
  };
}
