import type { RecipeChain, RecipeStep } from "../../../contracts/recipe.ts";
import { baseRole, logRole } from "./continuation.ts";

/** The commands that make a data directory of a chain, and let a server replay the log on it. */
export function physicalRecipe(chain: RecipeChain): RecipeStep[] {
  const last = chain.at(-1)!.manifest;
  const artifacts = chain.flatMap((one) => one.artifacts);
  const bases = artifacts.filter(({ artifact }) => artifact.role === baseRole);
  const logs = artifacts.filter(({ artifact }) => artifact.role === logRole);
  const major = Number.parseInt(last.source.version);
  const window = last.window;
  return [
    {
      title: "Unpack the server's files",
      reads: bases,
      commands: [
        `# This is a copy of a whole PostgreSQL ${major} server, and only a server of version ${major}`,
        "# starts on it. Be the user that the server is to run as, such as postgres, not root; the",
        "# server's programs, as of /usr/lib/postgresql/" + major + "/bin, have to be in PATH.",
        "# A new folder becomes the data directory:",
        "mkdir -m 700 data",
        ...bases.map(({ rawBytesCommand }) => `${rawBytesCommand} | tar -x -f - -C data`),
        "# Checks them against PostgreSQL's own list:",
        "pg_verifybackup data",
      ],
    },
    {
      title: "Unpack the log since then",
      reads: logs,
      commands: [
        "mkdir -m 700 wal",
        "# In this order: a later one has more of the file that both have.",
        ...logs.map(({ rawBytesCommand }) => `${rawBytesCommand} | tar -x -f - -C wal`),
      ],
    },
    {
      title: "Let a server replay the log",
      reads: [],
      commands: [
        "# Files that are not in every data directory: Debian's are in /etc/postgresql.",
        "[ -e data/postgresql.conf ] || : > data/postgresql.conf",
        "[ -e data/pg_hba.conf ] || echo 'local all all peer' > data/pg_hba.conf",
        "# The copy is not to write into the server's archive, nor to wait for its standbys.",
        "cat >> data/postgresql.auto.conf <<'END'",
        "restore_command = 'cp ../wal/%f \"%p\"'",
        "recovery_target_timeline = 'current'",
        "recovery_target_action = 'promote'",
        "archive_mode = 'off'",
        "synchronous_standby_names = ''",
        "END",
        ...window === undefined ? [] : [
          `# For a moment before the end, from ${window.from} on, add it:`,
          `#   echo "recovery_target_time = '${
            window.to.replace("T", " ").replace("Z", "+00")
          }'" \\`,
          "#     >> data/postgresql.auto.conf",
        ],
        "touch data/recovery.signal",
        "# It logs to data/start.log, and is ready when this ends. An address, a port, and the settings",
        "# of the server that it is a copy of are options of it: -o '-p 5433'.",
        "pg_ctl start --pgdata=data --log=data/start.log --timeout=86400 --wait",
        "# Afterwards: folder wal can go, and `pg_dump` takes single databases out of it.",
      ],
    },
  ];
}
