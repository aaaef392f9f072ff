import { destinationUrls } from "../registry.ts";
import { listOption } from "./command.ts";

/** `--from` of the commands that read backups. */
export function fromOption() {
  return listOption(
    "--from",
    "DEST",
    "Where the backups are, without searching for a config: a path, or a URL of " +
      `${destinationUrls()}. Several times for several places.`,
  );
}
