import { rawBytesOf } from "../../catalog/seal.ts";
import { storedBytesOf } from "../../catalog/sizes.ts";
import type { RunResult } from "../../contracts/run.ts";
import { type ErrorJson, errorJson } from "../../core/error-json.ts";
import { type BackupError, type ErrorCode, exitStatusOf } from "../../core/errors.ts";
import type { Secrets } from "../../core/secret.ts";

/** The codes that a run's exit status comes from; none for one that went well. */
export function codesOf({ status, error }: RunResult): ErrorCode[] {
  if (status === "success") return [];
  if (status === "failure") return [error?.code ?? "internal/no-reason"];
  const code = error?.code ?? "partial/destination";
  return [code.startsWith("partial/") ? code : "partial/destination"];
}

/**
 * A run's facts as one JSON document: what `--json` prints, and what hooks and notifiers are given.
 * Nothing secret is in it.
 */
export function runFacts(result: RunResult, secrets: Secrets): Readonly<Record<string, unknown>> {
  const { manifest } = result;
  const told = (error: BackupError | undefined): ErrorJson | null =>
    error === undefined ? null : errorJson(error, secrets);
  return {
    run: result.run,
    job: result.job,
    status: result.status,
    startedAt: result.startedAt.toISOString(),
    finishedAt: result.finishedAt.toISOString(),
    backup: manifest === undefined ? null : {
      id: manifest.id,
      kind: manifest.kind,
      parent: manifest.parent?.id ?? null,
      strategy: manifest.strategy ?? null,
      createdAt: manifest.startedAt,
      consistentAt: manifest.consistentAt,
      rawBytes: rawBytesOf(manifest),
      storedBytes: storedBytesOf(manifest),
      omitted: manifest.omitted,
    },
    destinations: result.destinations.map((one) => ({
      name: one.name,
      location: one.location,
      status: one.status,
      error: told(one.status === "failed" ? one.error : undefined),
    })),
    pruned: result.pruned.map(({ name, location, dropped, error }) => ({
      name,
      location,
      dropped,
      error: told(error),
    })),
    warnings: result.warnings.map((warning) => secrets.redact(warning)),
    error: told(result.error),
    exitStatus: codesOf(result).map(exitStatusOf)[0] ?? 0,
  };
}
