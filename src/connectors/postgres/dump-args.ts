import { BackupError } from "../../core/errors.ts";

/** What pg_dump's options would make of the archive, and no restore could take. */
const refused: readonly { readonly is: RegExp; readonly why: string }[] = [
  {
    is: /^(-a|--data-only|--no-schema|--statistics-only|--section(=.*)?)$/,
    why: "leaves out what makes the tables, so that nothing could be restored from the backup",
  },
  {
    is: /^(-[FfjZ].*|--(format|file|jobs|compress)(=.*)?)$/,
    why: "is dbbackup's own to set: it compresses and stores the archive itself",
  },
  { is: /^(-d.*|--dbname(=.*)?)$/, why: "names another database than the job does" },
];

/**
 * Refuses arguments for pg_dump that make of the archive what no restore can take.
 *
 * @throws BackupError `usage/bad-value`
 */
export function assertDumpArgs(args: readonly string[]): void {
  for (const arg of args) {
    const found = refused.find(({ is }) => is.test(arg));
    if (found === undefined) continue;
    throw new BackupError("usage/bad-value", `pg_dump's "${arg}" ${found.why}`, {
      hint: "Leave it out of dumpArgs (--dump-arg).",
    });
  }
}
