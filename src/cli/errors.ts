import { type BackupError, exitStatusOf } from "../core/errors.ts";
import type { Secrets } from "../core/secret.ts";

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

/** An error for people: `error: MESSAGE (code)` and what to do. */
export function errorText(error: BackupError, secrets: Secrets, isColourful: boolean): string {
  const [red, dim, plain] = isColourful ? ["\x1b[31m", "\x1b[2m", "\x1b[0m"] : ["", "", ""];
  // The code goes behind the first line, where a message of several lines is still readable.
  const [first = "", ...rest] = secrets.redact(error.message).split("\n");
  const lines = [`${red}error:${plain} ${first} ${dim}(${error.code})${plain}`, ...rest];
  if (error.hint !== undefined) lines.push(`hint: ${secrets.redact(error.hint)}`);
  return `${lines.join("\n")}\n`;
}

function redacted(
  details: Readonly<Record<string, unknown>>,
  secrets: Secrets,
): Readonly<Record<string, unknown>> {
  return JSON.parse(secrets.redact(JSON.stringify(details)));
}
