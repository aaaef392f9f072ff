import { open } from "node:fs/promises";
import type { Abortable } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { RestorableBackup, RestorableChain } from "../../../contracts/restore.ts";
import type { Artifact } from "../../../contracts/manifest.ts";
import { formatId } from "../walker.ts";
import { basePositionSchema } from "./position.ts";
import { applyRuns, runsFormat } from "./runs.ts";

/** What a restored file is to be. */
export interface Content {
  readonly bytes: number;
  readonly sha256: string;
}

/** What the file is when a chain is restored; undefined where it does not say. */
export function contentOf(chain: RestorableChain): Content | undefined {
  const { kind, artifacts, position } = chain.at(-1)!.manifest;
  if (kind !== "full") return basePositionSchema.safeParse(position.to).data;
  const dump = artifacts.find(({ role }) => role === "dump");
  return dump && { bytes: dump.rawBytes, sha256: dump.rawSha256 };
}

/** Writes the blocks of an increment over the file of what it builds on. */
export async function applyIncrement(
  path: string,
  { manifest, artifacts }: RestorableBackup,
  o: Abortable,
): Promise<void> {
  const artifact = artifacts.find(isRuns);
  const { data: to } = basePositionSchema.safeParse(manifest.position.to);
  if (artifact === undefined || to === undefined) {
    throw new BackupError("restore/failed", `Backup ${manifest.id} holds no changed blocks`, {
      hint: "Restore it to a database of the kind that it was taken from.",
    });
  }
  const file = await open(path, "r+");
  try {
    await applyRuns(artifact.open(o), file);
    await file.truncate(to.bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** True for the artifact with a full backup's file. */
export function isFile({ role, format }: Artifact): boolean {
  return role === "dump" && format === formatId;
}

/** True for the artifact with an increment's blocks. */
export function isRuns({ role, format }: Artifact): boolean {
  return role === "log" && format === runsFormat.id;
}
