import type { BackupError } from "../core/errors.ts";
import type { Secrets } from "../core/secret.ts";

export { type ErrorJson, errorJson } from "../core/error-json.ts";

/** An error for people: `error: MESSAGE (code)` and what to do. */
export function errorText(error: BackupError, secrets: Secrets, isColourful: boolean): string {
  const [red, dim, plain] = isColourful ? ["\x1b[31m", "\x1b[2m", "\x1b[0m"] : ["", "", ""];
  // The code goes behind the first line, where a message of several lines is still readable.
  const [first = "", ...rest] = secrets.redact(error.message).split("\n");
  const lines = [`${red}error:${plain} ${first} ${dim}(${error.code})${plain}`, ...rest];
  if (error.hint !== undefined) lines.push(`hint: ${secrets.redact(error.hint)}`);
  return `${lines.join("\n")}\n`;
}
