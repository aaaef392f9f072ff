import { BackupError } from "../core/errors.ts";

/** What a codec reads. */
export type Data = "compressed" | "encrypted";

/** Stored bytes that no codec can have written. */
export function corrupt(what: string, cause?: unknown, data: Data = "compressed"): BackupError {
  return new BackupError("verification/corrupt", `The ${data} data is damaged: ${what}`, {
    cause,
    hint,
  });
}

/** Stored bytes that stop before their end. */
export function truncated(what: string, data: Data = "compressed"): BackupError {
  return new BackupError("verification/truncated", `The ${data} data ends early: ${what}`, {
    hint,
  });
}

const hint = "Restore from another destination or an older backup; `dbbackup list` shows them.";
