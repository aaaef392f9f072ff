import { bash, fish, zsh } from "@optique/core/completion";
import { or } from "@optique/core/constructs";
import { formatDocPage } from "@optique/core/doc";
import { runParserSync } from "@optique/core/facade";
import { command as group } from "@optique/core/primitives";
import type { Command, Invocation } from "./command.ts";
import { plain } from "./command.ts";
import { backup } from "./commands/backup.ts";
import {
  configCheck,
  configInit,
  configSchemaCommand,
  configShow,
  configTypes,
} from "./commands/config.ts";
import { cat } from "./commands/cat.ts";
import { copy } from "./commands/copy.ts";
import { doctor } from "./commands/doctor.ts";
import { keyNew } from "./commands/key.ts";
import { remove } from "./commands/delete.ts";
import { hold, release } from "./commands/hold.ts";
import { list } from "./commands/list.ts";
import { prune } from "./commands/prune.ts";
import { reset } from "./commands/reset.ts";
import { restore } from "./commands/restore.ts";
import { run } from "./commands/run.ts";
import { show } from "./commands/show.ts";
import { verify } from "./commands/verify.ts";
import { learnNames } from "./completion.ts";
import { errorJson, errorText } from "./errors.ts";
import { helpEnd } from "./help.ts";
import { type Host, isColourful } from "./host.ts";
import { jsonPieces } from "./json.ts";
import { closeLog } from "./log.ts";
import { openSession } from "./open-session.ts";
import { usageError } from "./usage.ts";
import {
  type GivenByVariable,
  namingVariable,
  variableError,
  withVariableNames,
  withVariables,
  wrongVariable,
} from "./variables.ts";
import {
  type BackupError,
  type ErrorCode,
  exitStatusOf,
  hasCode,
  toBackupError,
  worstCode,
} from "../core/errors.ts";
import { createSecrets } from "../core/secret.ts";
import { version } from "../core/version.ts";

const configCommands = [configInit, configCheck, configShow, configTypes, configSchemaCommand];

/** Every command, in the order of the help. */
export const commands: readonly Command[] = [
  run,
  backup,
  list,
  show,
  cat,
  restore,
  verify,
  copy,
  prune,
  hold,
  release,
  remove,
  reset,
  ...configCommands,
  keyNew,
  doctor,
];

const configGroup = group(
  "config",
  or(
    configInit.parser,
    configCheck.parser,
    configShow.parser,
    configTypes.parser,
    configSchemaCommand.parser,
  ),
  {
    brief: plain("Write, check and print the configuration."),
    usageLine: [{ type: "command", name: "COMMAND" }, { type: "ellipsis" }],
  },
);

const keyGroup = group("key", keyNew.parser, {
  brief: plain("Make keys for encrypted backups."),
  usageLine: [{ type: "command", name: "COMMAND" }, { type: "ellipsis" }],
});

const parser = or(
  run.parser,
  backup.parser,
  list.parser,
  show.parser,
  cat.parser,
  restore.parser,
  verify.parser,
  copy.parser,
  prune.parser,
  // One takes 15 at most.
  or(hold.parser, release.parser, remove.parser, reset.parser),
  configGroup,
  keyGroup,
  doctor.parser,
);

/** What a command line comes to: something to do, something to print, or an error. */
export type Parsed =
  | { readonly type: "invocation"; readonly invocation: Invocation }
  | { readonly type: "text"; readonly text: string; readonly isHelp: boolean }
  | { readonly type: "error"; readonly error: BackupError };

/** Understands a command line; does nothing else. */
export function parseArguments(argv: readonly string[], columns: number): Parsed {
  let printed = "";
  let shown: Parsed | undefined;
  const invocation = runParserSync<typeof parser, undefined, undefined>(parser, "dbbackup", argv, {
    aboveError: "none",
    maxWidth: columns,
    showChoices: true,
    commandList: "top-level",
    usageLine: [{ type: "command", name: "COMMAND" }, { type: "ellipsis" }],
    brief: plain("Backs up PostgreSQL, MySQL, MariaDB, MongoDB and SQLite, and restores them."),
    help: {
      option: { names: ["-h", "--help"] },
      onShow(_, page) {
        const doc = formatDocPage("dbbackup", withVariableNames(page), {
          maxWidth: columns,
          showChoices: true,
          termWidth: "auto",
        });
        const end = helpEnd(argv, commands);
        shown = { type: "text", text: `${doc.trimEnd()}\n\n${end}`, isHelp: true };
        return undefined;
      },
    },
    version: {
      option: { names: ["-V", "--version"] },
      value: version,
      onShow: () => undefined,
    },
    completion: {
      command: { names: ["completions"] },
      shells: { bash, fish, zsh },
      onShow: () => undefined,
    },
    stdout: (text) => printed += `${text}\n`,
    stderr: () => {},
    onError(_, message) {
      shown = { type: "error", error: usageError(message, argv, commands) };
      return undefined;
    },
  });
  if (shown !== undefined) return shown;
  if (invocation !== undefined) return { type: "invocation", invocation };
  return { type: "text", text: printed, isHelp: false };
}

/** Understands a command line together with the variables that give flags. */
function parseWithVariables(
  argv: readonly string[],
  { env, stdout: { columns } }: Host,
): { parsed: Parsed; given: readonly GivenByVariable[] } {
  try {
    const { argv: whole, given } = withVariables(argv, commands, env);
    const parsed = parseArguments(whole, columns);
    if (parsed.type !== "error" || given.length === 0) return { parsed, given };
    const isWrong = (line: readonly string[]) => parseArguments(line, columns).type === "error";
    const wrong = wrongVariable(argv, commands, given, isWrong);
    if (wrong === undefined) return { parsed: parseArguments(argv, columns), given };
    return { parsed: { type: "error", error: variableError(parsed.error, wrong) }, given };
  } catch (error) {
    return { parsed: { type: "error", error: toBackupError(error) }, given: [] };
  }
}

// What these print is all that they are for; the others do something.
const reports = new Set(["list", "show", "cat", "doctor", "config", "key", "completions", "help"]);

/** Whether a command line does something that stands, even where nobody could be told of it. */
export function isDoing(argv: readonly string[]): boolean {
  const [word = ""] = argv;
  const isHelp = argv.some((one) => one === "--help" || one === "-h");
  return !isHelp && word !== "" && !word.startsWith("-") && !reports.has(word);
}

/**
 * Carries out a command line.
 *
 * @returns the exit status
 */
export async function runCli(given: readonly string[], host: Host): Promise<number> {
  // `help`, `help list`: what people try first.
  const argv = given[0] === "help" ? [...given.slice(1), "--help"] : given;
  if (argv.length === 0 || (argv.length === 1 && /^(config|key)$/.test(argv[0]!))) {
    const help = parseArguments([...argv, "--help"], host.stderr.columns);
    if (help.type === "text") host.stderr.write(help.text);
    return exitStatusOf("usage/missing-command");
  }
  if (argv[0] === "completions" && argv.length > 2) await learnNames(argv.slice(2), host);
  const { parsed, given: byVariables } = parseWithVariables(argv, host);
  if (parsed.type === "text") {
    host.stdout.write(parsed.text);
    return 0;
  }
  const isJson = parsed.type === "invocation"
    ? parsed.invocation.flags.json
    : argv.includes("--json") || byVariables.some(({ flag }) => flag === "--json");
  const secrets = createSecrets(host.env);
  const codes: ErrorCode[] = [];
  let json: unknown;
  let complain = (error: BackupError) =>
    host.stderr.write(errorText(error, secrets, isColourful(host.stderr, host.env)));
  try {
    if (parsed.type === "error") throw parsed.error;
    const { invocation } = parsed;
    const session = await openSession(invocation.flags, secrets, host, {
      byVariables,
      isReport: !isDoing(argv) || argv.includes("--dry-run"),
    });
    complain = (error) => session.complain(error);
    try {
      const outcome = await invocation.run(session);
      json = outcome.json;
      codes.push(...outcome.codes ?? []);
    } finally {
      session.clearProgress();
    }
  } catch (reason) {
    // What was interrupted is told so, whatever it threw on its way out.
    const isOurs = host.signal.aborted && !hasCode(reason, "interrupted/");
    const error = namingVariable(
      toBackupError(isOurs ? host.signal.reason : reason),
      byVariables,
    );
    codes.push(error.code);
    json = { error: errorJson(error, secrets) };
    complain(error);
  } finally {
    await closeLog();
  }
  if (isJson) {
    for (const piece of jsonPieces(json)) host.stdout.write(secrets.redact(piece));
  }
  const worst = worstCode(codes);
  return worst === undefined ? 0 : exitStatusOf(worst);
}
