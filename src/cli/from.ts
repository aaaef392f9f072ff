import { listOption } from "./command.ts";

/** `--from` of the commands that read backups. */
export function fromOption() {
  return listOption(
    "--from",
    "DEST",
    "Where the backups are: a path or file: URL, without searching for a config. Several times " +
      "for several places.",
  );
}
