import type { RecipeInput } from "../../contracts/recipe.ts";
import { accountsFormat } from "./accounts.ts";

/** The commands that restore an artifact. */
export function recipe({ artifact, manifest, rawBytesCommand }: RecipeInput): string[] {
  const client = manifest.source.flavour === "MariaDB" ? "mariadb" : "mysql";
  const login = [
    "# First put user, password, host and port into a file ~/.my.cnf of mode 600:",
    "#   [client]",
    "#   user=root",
    '#   password="..."',
    "#   host=127.0.0.1",
    "#   port=3306",
  ];
  // `loose-`: clients older than 9.4 do not know the option, newer ones need it for DELIMITER.
  const run = `${client} --loose-commands --binary-mode --default-character-set=utf8mb4 ` +
    "--max-allowed-packet=1G";
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
