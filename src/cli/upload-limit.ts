import type { DestinationDefinition } from "../config/model.ts";
import { parseRate } from "../config/units.ts";
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
 * Destinations with the limit of `--upload-limit`, where it is given.
 *
 * @throws BackupError `usage/bad-value`
 */
export function withGivenLimit(
  destinations: readonly DestinationDefinition[],
  text: string | undefined,
): readonly DestinationDefinition[] {
  if (text === undefined) return destinations;
  const uploadBytesPerSecond = parseRate(text);
  if (uploadBytesPerSecond === undefined) {
    throw new BackupError("usage/bad-value", `Cannot read --upload-limit "${text}"`, {
      hint: "Write it like 512KiB/s or 20MiB/s.",
    });
  }
  return destinations.map((one) => ({ ...one, uploadBytesPerSecond }));
}
