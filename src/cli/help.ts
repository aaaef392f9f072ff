import { areaMeanings, exitStatuses } from "../core/errors.ts";
import type { Command } from "./command.ts";
import { identityVariable, passphraseVariable } from "./encryption.ts";

/** What stands below a command's options in its help: examples, and what the statuses mean. */
export function helpEnd(argv: readonly string[], commands: readonly Command[]): string {
  const command = commandOf(argv, commands);
  if (command !== undefined) return examples(command.examples);
  const inGroup = commands.filter(({ path }) => path.length > 1 && path[0] === argv[0]);
  if (inGroup.length > 0) return examples(inGroup.flatMap((one) => one.examples.slice(0, 1)));
  return `${examples(firstSteps)}\n${variableTable()}\n${statusTable()}\n` +
    "`dbbackup COMMAND --help` tells more about each command.\n";
}

/** The command whose words stand at the beginning of a command line. */
export function commandOf(
  argv: readonly string[],
  commands: readonly Command[],
): Command | undefined {
  return commands.find(({ path }) => path.every((word, index) => argv[index] === word));
}

/** The table of exit statuses, the worst first. */
export function statusTable(): string {
  const rows = Object.entries(areaMeanings).map(([area, meaning]) => {
    const status = exitStatuses[area as keyof typeof exitStatuses];
    return `  ${String(status).padStart(3)}  ${area.padEnd(12)}  ${meaning}`;
  });
  return [
    "Exit statuses, the worst first; of several the worst counts:",
    ...rows,
    "    0  success       everything was done",
    "",
  ].join("\n");
}

const otherVariables = [
  ["DBBACKUP_…", "gives any flag, such as DBBACKUP_CONFIG and DBBACKUP_JSON=1; a flag wins"],
  [identityVariable, "an age identity, or the path of a file with some or with an SSH key"],
  [passphraseVariable, "the passphrase of encrypted backups that are read"],
  ["DBBACKUP_RUN_…", "is for the hooks of a run, and gives no flag"],
  ["NO_COLOR", "switches colours off"],
  ["TMPDIR", "temporary files, where the config names no tempDir"],
  ["XDG_CONFIG_HOME", "a config is looked for in its folder dbbackup; default ~/.config"],
  ["XDG_STATE_HOME", "locks and the record of runs; default ~/.local/state"],
] as const;

function variableTable(): string {
  const width = Math.max(...otherVariables.map(([name]) => name.length));
  return [
    "Environment variables:",
    ...otherVariables.map(([name, meaning]) => `  ${name.padEnd(width)}  ${meaning}`),
    "",
  ].join("\n");
}

const firstSteps = [
  "dbbackup backup --from postgres://app@localhost/shop --to ./backups",
  "dbbackup list --from ./backups",
  "dbbackup restore --from ./backups --to postgres://app@localhost/shop_copy",
  "dbbackup config init",
];

function examples(lines: readonly string[]): string {
  return `Examples:\n${lines.map((line) => `  ${line}\n`).join("")}`;
}
