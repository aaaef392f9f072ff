import { BackupError } from "../../core/errors.ts";
import { counted, shellQuote } from "../../core/text.ts";
import type { RestoreResult, RestoreStep } from "../../contracts/restore.ts";

/** A database of several that could not be restored. */
export interface FailedStep {
  readonly step: RestoreStep;
  readonly error: BackupError;
}

/** Of several databases some are restored: those stay, and the rest can be restored by itself. */
export function severalFailed(
  steps: readonly RestoreStep[],
  done: readonly Pick<RestoreResult, "followUps">[],
  failed: readonly FailedStep[],
): BackupError {
  const [first] = failed;
  const untried = steps.slice(done.length + failed.length);
  const rest = [...failed.map(({ step }) => step), ...untried].map(({ from }) => from);
  const names = rest.map((name) => `--database ${shellQuote(name)}`).join(" ");
  const left = failed.flatMap(({ error }) => leftOf(error));
  const hints = [...new Set(failed.map(({ error }) => error.hint))].filter((hint) =>
    hint !== undefined
  );
  return new BackupError(
    first!.error.code,
    [
      `${counted(rest.length, "database")} of ${steps.length} could not be restored:`,
      ...failed.map(({ step, error }) => `  ${step.from}: ${error.message}`),
      ...untried.map(({ from }) => `  ${from}: not tried`),
    ].join("\n"),
    {
      cause: first!.error,
      hint: [
        ...hints,
        `${done.length === 0 ? "None" : "The others"} of the databases ` +
        `${done.length === 0 ? "is" : "are"} restored. For what is left, run it again with ` +
        `${names}.`,
      ].join("\n"),
      details: {
        failed: failed.map(({ step, error }) => ({
          from: step.from,
          to: step.to,
          code: error.code,
          message: error.message,
        })),
        rest,
        left,
        differences: failed.flatMap(({ error }) => listOf(error.details?.["differences"])),
        followUps: done.flatMap(({ followUps }) => followUps),
      },
    },
  );
}

function leftOf(error: BackupError): readonly unknown[] {
  return listOf(error.details?.["left"]);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
