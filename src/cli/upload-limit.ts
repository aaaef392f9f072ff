import type { DestinationDefinition } from "../config/model.ts";
import { parseRate } from "../core/units.ts";
import { BackupError } from "../core/errors.ts";
import { textOption } from "./command.ts";

/** `--upload-limit` of the commands that write backups. */
export function uploadLimitOption() {
  return textOption(
    "--upload-limit",
    "RATE",
    'The most that is sent to each destination in a second, such as "20MiB/s". Default no limit.',
  );
}

/**
 * A destination with the limit of `--upload-limit`, where it is given.
 *
 * @throws BackupError `usage/bad-value`
 */
export function withGivenLimit(
  destination: DestinationDefinition,
  text: string | undefined,
): DestinationDefinition {
  if (text === undefined) return destination;
  const uploadBytesPerSecond = parseRate(text);
  if (uploadBytesPerSecond === undefined) {
    throw new BackupError("usage/bad-value", `Cannot read --upload-limit "${text}"`, {
      hint: "Write it like 512KiB/s or 20MiB/s.",
    });
  }
  return { ...destination, uploadBytesPerSecond };
}
