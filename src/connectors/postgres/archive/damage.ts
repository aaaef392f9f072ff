import { BackupError } from "../../../core/errors.ts";

/** The error of bytes that pg_dump does not write. */
export function damaged(problem: string): BackupError {
  return new BackupError(
    "verification/structure",
    `The PostgreSQL archive is damaged: ${problem}`,
    { hint: "The bytes are not what pg_dump wrote; use another backup." },
  );
}

/** The error of bytes that end too early. */
export function truncated(problem: string): BackupError {
  return new BackupError(
    "verification/truncated",
    `The PostgreSQL archive is cut off: ${problem}`,
    { hint: "The dump did not come to its end; make it again, or use another backup." },
  );
}
