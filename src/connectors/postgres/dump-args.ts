import { BackupError } from "../../core/errors.ts";

/** An option of pg_dump, by its long name. */
export interface DumpArg {
  /** Without dashes; as it was given, where pg_dump may know it and we do not. */
  readonly name: string;
  readonly value: string | undefined;
  /** As it was written. */
  readonly given: string;
}

const letters: Readonly<Record<string, string>> = {
  ...{ a: "data-only", b: "large-objects", B: "no-large-objects", c: "clean", C: "create" },
  ...{ d: "dbname", e: "extension", E: "encoding", f: "file", F: "format", h: "host", j: "jobs" },
  ...{ n: "schema", N: "exclude-schema", O: "no-owner", p: "port", R: "no-reconnect" },
  ...{ s: "schema-only", S: "superuser", t: "table", T: "exclude-table", U: "username" },
  ...{ v: "verbose", V: "version", w: "no-password", W: "password", x: "no-privileges" },
  ...{ Z: "compress", "?": "help" },
};

const withValue: ReadonlySet<string> = new Set([
  ...["compress", "dbname", "encoding", "exclude-extension", "exclude-schema", "exclude-table"],
  ...["exclude-table-and-children", "exclude-table-data", "exclude-table-data-and-children"],
  ...[
    "extension",
    "extra-float-digits",
    "file",
    "filter",
    "format",
    "host",
    "include-foreign-data",
  ],
  ...["jobs", "lock-wait-timeout", "port", "restrict-key", "role", "rows-per-insert", "schema"],
  ...["section", "snapshot", "superuser", "sync-method", "table", "table-and-children", "username"],
]);

/** All that pg_dump 13 to 18 know: what is shortened is found by it, as getopt_long does. */
const names: readonly string[] = [
  ...withValue,
  ...Object.values(letters),
  ...["attribute-inserts", "binary-upgrade", "blobs", "column-inserts", "disable-dollar-quoting"],
  ...["disable-triggers", "enable-row-security", "if-exists", "inserts", "load-via-partition-root"],
  ...["no-acl", "no-blobs", "no-comments", "no-data", "no-policies", "no-publications"],
  ...["no-schema", "no-security-labels", "no-statistics", "no-subscriptions", "no-sync"],
  ...["no-synchronized-snapshots", "no-table-access-method", "no-tablespaces"],
  ...["no-toast-compression", "no-unlogged-table-data", "on-conflict-do-nothing"],
  ...["quote-all-identifiers", "sequence-data", "serializable-deferrable", "statistics"],
  ...["statistics-only", "strict-names", "use-set-session-authorization"],
];

/** What pg_dump's options would make of the archive, and no restore could take. */
const refused: readonly { readonly names: readonly string[]; readonly why: string }[] = [
  {
    names: ["data-only", "no-schema", "statistics-only", "section"],
    why: "leaves out what makes the tables, so that nothing could be restored from the backup",
  },
  {
    names: ["format", "file", "jobs", "compress", "restrict-key"],
    why: "is dbbackup's own to set: it compresses and stores the archive itself",
  },
  {
    names: ["dbname", "host", "port", "username"],
    why: "names another database than the job does",
  },
  {
    names: ["password"],
    why: "asks for a password: dbbackup gives pg_dump the one that it has itself",
  },
  {
    names: ["snapshot", "serializable-deferrable"],
    why: "asks for another snapshot than the one whose moment the backup tells",
  },
  {
    // An INSERT that is refused leaves those before it, so that a second try would double rows.
    names: [
      ...["inserts", "column-inserts", "attribute-inserts", "rows-per-insert"],
      "on-conflict-do-nothing",
    ],
    why:
      "writes rows so that they can be neither counted nor restored all or none. Without it, the " +
      "same rows come back",
  },
  {
    names: ["extra-float-digits"],
    why: "rounds floating-point numbers, so that others come back",
  },
  {
    names: ["include-foreign-data"],
    why:
      "takes the rows of foreign tables, which a restore would write to the foreign server again",
  },
  {
    names: ["filter"],
    why:
      "reads a file that the backup does not record. exclude, excludeData and other dumpArgs say " +
      "the same",
  },
  { names: ["binary-upgrade"], why: "is for pg_upgrade only" },
  { names: ["help", "version"], why: "dumps nothing" },
];

/**
 * Reads arguments as pg_dump does: letters together, values beside them or next, names shortened.
 * What is neither an option nor a value has no name.
 */
export function readDumpArgs(args: readonly string[]): DumpArg[] {
  const found: DumpArg[] = [];
  for (let at = 0; at < args.length; at++) {
    const given = args[at]!;
    if (given.startsWith("--") && given !== "--") {
      const [, written = "", value] = /^--([^=]*)(?:=([\s\S]*))?$/.exec(given) ?? [];
      const name = longName(written);
      const isNext = value === undefined && withValue.has(name);
      found.push({ name, value: isNext ? args[++at] : value, given });
    } else if (/^-[^-]/.test(given)) {
      for (let letter = 1; letter < given.length; letter++) {
        const name = letters[given[letter]!] ?? given[letter]!;
        if (!withValue.has(name)) found.push({ name, value: undefined, given });
        else {
          const joined = given.slice(letter + 1);
          found.push({ name, value: joined === "" ? args[++at] : joined, given });
          break;
        }
      }
    } else found.push({ name: "", value: given, given });
  }
  return found;
}

/**
 * Refuses arguments for pg_dump that make of the archive what no restore can take, or not as it was.
 *
 * @throws BackupError `usage/bad-value`
 */
export function assertDumpArgs(args: readonly string[]): void {
  for (const { name, given } of readDumpArgs(args)) {
    const why = name === ""
      ? "is no option, but the name of another database than the job's"
      : refused.find((one) => one.names.includes(name))?.why;
    if (why === undefined) continue;
    throw new BackupError("usage/bad-value", `pg_dump's "${given}" ${why}`, {
      hint: "Leave it out of dumpArgs (--dump-arg).",
    });
  }
}

const choosing = [
  ...["schema", "exclude-schema", "table", "table-and-children", "exclude-table", "extension"],
  ...["exclude-extension", "exclude-table-and-children", "exclude-table-data"],
  "exclude-table-data-and-children",
];

/** Whether arguments choose what is dumped: a part of the database, or rows of a part of it. */
export function areChoosing(args: readonly string[]): boolean {
  return readDumpArgs(args).some(({ name }) => choosing.includes(name));
}

function longName(written: string): string {
  if (names.includes(written)) return written;
  const fitting = names.filter((name) => name.startsWith(written));
  // What this version of pg_dump takes it for must not be one that is refused.
  return fitting.find((name) => refused.some((one) => one.names.includes(name))) ?? fitting[0] ??
    written;
}
