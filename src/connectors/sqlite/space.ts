import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { RestorableChain, RestoreStep } from "../../contracts/restore.ts";
import { BackupError } from "../../core/errors.ts";
import { formatBytes } from "../../core/text.ts";
import { contentOf } from "./changes/apply.ts";
import { statOrNone } from "./files.ts";

/**
 * The new content once beside and once more in place or in the journal, and the old one kept.
 *
 * @throws BackupError `restore/no-space`
 */
export async function assertSpace(step: RestoreStep, chain: RestorableChain): Promise<void> {
  const sizes = chain.map((_, index) => contentOf(chain.slice(0, index + 1))?.bytes ?? 0);
  const newBytes = Math.max(...sizes);
  const oldBytes = Number((await statOrNone(step.to))?.size ?? 0n);
  const needBytes = step.mode === "create" ? newBytes : 2 * newBytes + oldBytes;
  const space = await statfs(dirname(step.to));
  const freeBytes = space.bavail * space.bsize;
  if (freeBytes >= needBytes) return;
  throw new BackupError(
    "restore/no-space",
    `The folder of "${step.to}" has ${formatBytes(freeBytes)} free and ` +
      `${formatBytes(needBytes)} are needed`,
    { hint: "Free some space, or restore to a path on a larger disk. Nothing was changed." },
  );
}
