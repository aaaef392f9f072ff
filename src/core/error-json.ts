import { type BackupError, exitStatusOf } from "./errors.ts";
import type { Secrets } from "./secret.ts";

/** An error as `--json` tells it. */
export interface ErrorJson {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  readonly exitStatus: number;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Makes an error's JSON; nothing secret is in it. */
export function errorJson(error: BackupError, secrets: Secrets): ErrorJson {
  return {
    code: error.code,
    message: secrets.redact(error.message),
    hint: error.hint === undefined ? null : secrets.redact(error.hint),
    exitStatus: exitStatusOf(error.code),
    ...(error.details === undefined ? {} : { details: redacted(error.details, secrets) }),
  };
}

function redacted(
  details: Readonly<Record<string, unknown>>,
  secrets: Secrets,
): Readonly<Record<string, unknown>> {
  return JSON.parse(secrets.redact(JSON.stringify(details)));
}
