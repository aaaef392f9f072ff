import type { Manifest } from "../contracts/manifest.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import { BackupError } from "../core/errors.ts";

/**
 * Compares the objects that a LIST saw with what the manifest says: every volume there, each with
 * its size. Costs no request.
 *
 * @returns a `verification/missing-object` or `verification/size` error for each that differs.
 */
export function checkSizes(
  manifest: Manifest,
  { prefix, files }: Pick<BackupRef, "prefix" | "files">,
): BackupError[] {
  const hint = "Restore from another destination or an older backup; `dbbackup list` shows them.";
  return manifest.artifacts.flatMap(({ volumes }) => volumes).flatMap(({ name, bytes }) => {
    const found = files.get(name);
    if (found === bytes) return [];
    if (found === undefined) {
      const message = `Object "${prefix}${name}" is missing`;
      return [new BackupError("verification/missing-object", message, { hint })];
    }
    const message = `Object "${prefix}${name}" has ${found} bytes instead of ${bytes}`;
    return [new BackupError("verification/size", message, { hint })];
  });
}
