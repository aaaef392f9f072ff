import type { JobDefinition } from "../../config/model.ts";
import type { Omission } from "../../contracts/manifest.ts";
import { BackupError } from "../../core/errors.ts";

/**
 * A dump that leaves something out is no success, unless the job says that this is known.
 *
 * @throws BackupError with the code
 */
export function assertAccepted(
  job: JobDefinition,
  omissions: readonly Omission[],
  code: "dump/would-omit" | "dump/omitted",
): void {
  const unaccepted = omissions.filter(({ name }) => !job.accept.includes(name));
  if (unaccepted.length === 0) return;
  const names = unaccepted.map(({ name }) => name);
  const verb = code === "dump/omitted" ? "has left out" : "would leave out";
  throw new BackupError(
    code,
    `A dump of "${job.database.name}" ${verb}: ` +
      unaccepted.map(({ name, reason }) => `${name} (${reason})`).join("; "),
    {
      hint: `${remedies(unaccepted)} Or accept it by name: accept: ${JSON.stringify(names)}` +
        ` (--accept ${names.join(" --accept ")}).`,
      details: { omissions: unaccepted },
    },
  );
}

/** What can be done about omissions, each thing once. */
function remedies(omissions: readonly Omission[]): string {
  return [...new Set(omissions.map(({ hint }) => hint ?? "Grant what is missing."))].join(" ");
}
