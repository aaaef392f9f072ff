import { BackupError } from "../../core/errors.ts";

/** The error of a dump that is none. */
export function structureError(problem: string): BackupError {
  return new BackupError("verification/structure", `The SQL dump ${problem}`, {
    hint: "The bytes are not what was dumped; use another backup.",
  });
}
