import {
  type RecipeArtifact,
  type RecipeChain,
  type RecipeInput,
  type RecipeStep,
  stepByStep,
} from "../../contracts/recipe.ts";
import { shellQuote } from "../../core/text.ts";
import { accountsFormat } from "./accounts.ts";

/** The commands that restore a chain: the full backup, and the changes since in one go. */
export function recipe(chain: RecipeChain): RecipeStep[] {
  const [full, ...later] = chain;
  if (full === undefined) return [];
  const logs = later.flatMap(({ artifacts }) => artifacts);
  const steps = stepByStep([full], restoring);
  return logs.length === 0
    ? steps
    : [...steps, replaying(logs, full.manifest.source.flavour === "MariaDB")];
}

function replaying(logs: readonly RecipeArtifact[], isMariadb: boolean): RecipeStep {
  const title = `Replay the changes since (${logs[0]!.artifact.volumes[0]!.name} and what follows)`;
  const [only, ...others] = logs[0]!.artifact.databases;
  if (others.length > 0) {
    return {
      title,
      reads: logs,
      commands: [
        "# This log has the changes of all databases of its server, and mysqlbinlog picks out those",
        "# of one alone: by hand, the full backup is as far as it gets. dbbackup restores it all.",
        "echo 'STOP: the changes of several databases out of more cannot be replayed by hand.' >&2",
        "false",
      ],
    };
  }
  const reader = isMariadb
    ? "mariadb-binlog --no-defaults --loose-skip-gtid-strict-mode --skip-annotate-row-events"
    : "mysqlbinlog --no-defaults --skip-gtids";
  const filter = only === undefined ? "" : ` --database=${shellQuote(only)}`;
  // The numbers of the transactions: the target gives its own, or it would refuse them.
  const numbers = isMariadb
    ? " | LC_ALL=C sed -e '/^\\/\\*M!100001 SET @@session.[a-z_]*=[0-9]*\\*\\//d'"
    : "";
  return {
    title,
    reads: logs,
    commands: [
      "# All files are read in one go, in their order. This is done once, on the full backup just",
      "# restored: if it stops halfway, drop the databases and begin with the full backup again.",
      "# Scheduled events must not run meanwhile. If the server runs any (SHOW VARIABLES LIKE",
      "# 'event_scheduler'), turn that off first: SET GLOBAL event_scheduler = OFF;",
      ...only === undefined ? [] : [
        "# The log has the changes of all databases of its server; --database picks those of this",
        "# one: rows by their table, but a statement such as ALTER TABLE by the database that it was",
        "# run in. One run elsewhere about this database is left out, one run here about another ends",
        "# it with an error. dbbackup goes by the table in either case.",
      ],
      "# To stop earlier, add --stop-datetime='2026-11-23 14:03:00', which is UTC here.",
      "mkdir replay",
      ...logs.map(({ artifact, rawBytesCommand }, index) =>
        `${rawBytesCommand} > replay/${String(index + 1).padStart(6, "0")}-of-${
          String(artifact.number).padStart(3, "0")
        }`
      ),
      `TZ=UTC ${reader}${filter} replay/*${numbers} | ${clientOf(isMariadb)}`,
      "rm -r replay",
    ],
  };
}

function clientOf(isMariadb: boolean): string {
  // `loose-`: clients older than 9.4 do not know the option, newer ones need it for DELIMITER.
  return `${isMariadb ? "mariadb" : "mysql"} --loose-commands --binary-mode ` +
    "--default-character-set=utf8mb4 --max-allowed-packet=1G";
}

/** The commands that restore an artifact of a full backup. */
function restoring({ artifact, manifest, rawBytesCommand }: RecipeInput): string[] {
  const isMariadb = manifest.source.flavour === "MariaDB";
  const client = isMariadb ? "mariadb" : "mysql";
  const login = [
    "# First put user, password, host and port into a file ~/.my.cnf of mode 600:",
    "#   [client]",
    "#   user=root",
    '#   password="..."',
    "#   host=127.0.0.1",
    "#   port=3306",
  ];
  const run = clientOf(isMariadb);
  if (artifact.format === accountsFormat.id) {
    return [
      ...login,
      "# Users, roles and grants; those that are there keep their passwords. A grant on something",
      "# that is not there fails, and --force goes on with the next.",
      `${rawBytesCommand} | ${run} --force`,
    ];
  }
  return [
    ...login,
    "# What the databases hold under these names is replaced. The last lines of output must not",
    "# be an error. sed takes out two lines of the head: one that older clients do not know, and",
    "# one that would keep the restored data from the server's replicas.",
    "# A statement that fails ends it. To go on after those and see which they were, add --force to",
    `# ${client} and read its errors: each says what is missing then.`,
    `${rawBytesCommand} | LC_ALL=C sed -e '1{/999999/d;}' ` +
    `-e '1,60{/^SET @@SESSION.SQL_LOG_BIN/d;}' | ${run}`,
  ];
}
