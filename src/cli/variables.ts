import type { DocPage } from "@optique/core/doc";
import { text as words } from "@optique/core/message";
import type { Usage } from "@optique/core/usage";
import { BackupError } from "../core/errors.ts";
import type { Environment } from "../core/runtime.ts";
import type { Command } from "./command.ts";
import { identityVariable } from "./encryption.ts";
import { commandOf } from "./help.ts";

/** A flag that a variable gives, because the command line does not. */
export interface GivenByVariable {
  readonly variable: string;
  /** `--log-level`. */
  readonly flag: string;
  /** One value of it; undefined for a flag without any. */
  readonly value: string | undefined;
}

/** A command line with what variables add to it. */
export interface WithVariables {
  readonly argv: readonly string[];
  readonly given: readonly GivenByVariable[];
}

/** The variable of a flag: `DBBACKUP_LOG_LEVEL` of `--log-level`. */
export function variableOf(flag: string): string {
  return `DBBACKUP_${flag.replace(/^--/, "").replaceAll("-", "_").toUpperCase()}`;
}

/** An option of a command, as its parser declares it. */
interface Option {
  readonly names: readonly string[];
  readonly isToggle: boolean;
  readonly isList: boolean;
}

// This one takes an identity itself, too, and every command that reads looks at it.
const ofTheirOwn: ReadonlySet<string> = new Set([identityVariable]);

// Who gives one of these on the command line has decided for the others.
const exclusive: readonly (readonly string[])[] = [
  ["--passphrase-file", "--passphrase-env", "--recipient", "--recipients-file"],
  ["--recipients-file", "--recipient"],
];
// What `backup` takes of these is about a database without any job of the config.
const withoutJob: readonly string[] = ["--from", "--job", "--source", "--password-file"];

/**
 * Adds the flags that the environment gives (`DBBACKUP_JSON=1`) and the command line does not.
 *
 * @throws BackupError `usage/bad-value` where a flag without a value is neither on nor off
 */
export function withVariables(
  argv: readonly string[],
  commands: readonly Command[],
  env: Environment,
): WithVariables {
  const command = commandOf(argv, commands);
  if (command === undefined) return { argv, given: [] };
  const options = optionsIn(command.parser.usage);
  const { flags, hasWords } = flagsIn(argv.slice(command.path.length), options);
  const isOfJobs = command.path[0] === "backup" && hasWords;
  const isDecided = (flag: string) =>
    flags.has(flag) || (isOfJobs && withoutJob.includes(flag)) ||
    exclusive.some((group) => group.includes(flag) && group.some((other) => flags.has(other)));
  const given = options.flatMap((option) => {
    const flag = option.names.find((name) => name.startsWith("--"));
    return flag === undefined || isDecided(flag) ? [] : read(flag, option, env);
  });
  return { argv: inserted(argv, command, given), given };
}

/**
 * The variable that makes a command line wrong which is right without it; undefined where it is none.
 *
 * @param isWrong tries a command line
 */
export function wrongVariable(
  argv: readonly string[],
  commands: readonly Command[],
  given: readonly GivenByVariable[],
  isWrong: (argv: readonly string[]) => boolean,
): GivenByVariable | undefined {
  const command = commandOf(argv, commands);
  if (command === undefined || isWrong(argv)) return undefined;
  return given.find((one) => isWrong(inserted(argv, command, [one])));
}

/** An error that is about what a variable gives says which. */
export function namingVariable(
  error: BackupError,
  given: readonly GivenByVariable[],
): BackupError {
  const { code, message, hint, details } = error;
  const isAbout = ({ flag, value }: GivenByVariable) =>
    new RegExp(`${flag}(?![\\w-])`).test(message) ||
    (value !== undefined && value.length > 2 && message.includes(value.replace(/^\.\//, "")));
  const found = given.find(isAbout);
  if (found === undefined || message.includes(found.variable)) return error;
  const said = `${found.variable} gives ${found.flag}.`;
  return new BackupError(code, message, {
    cause: error.cause ?? error,
    hint: hint === undefined ? said : `${said} ${hint}`,
    ...(details === undefined ? {} : { details }),
  });
}

/** A page of help whose options show their variables. */
export function withVariableNames(page: DocPage): DocPage {
  return {
    ...page,
    sections: page.sections.map((section) => ({
      ...section,
      entries: section.entries.map((entry) => {
        const { term, description = [] } = entry;
        const flag = term.type === "option"
          ? term.names.find((name) => name.startsWith("--") && !withoutVariable.has(name))
          : undefined;
        if (flag === undefined || ofTheirOwn.has(variableOf(flag))) return entry;
        return { ...entry, description: [...description, words(` [${variableOf(flag)}]`)] };
      }),
    })),
  };
}

const withoutVariable: ReadonlySet<string> = new Set(["--help", "--version"]);

function optionsIn(usage: Usage, isList = false): Option[] {
  return usage.flatMap((term) => {
    if (term.type === "option") {
      return [{ names: term.names, isToggle: term.metavar === undefined, isList }];
    }
    if (term.type === "optional") return optionsIn(term.terms, isList);
    if (term.type === "multiple") return optionsIn(term.terms, true);
    return term.type === "exclusive" ? term.terms.flatMap((one) => optionsIn(one, isList)) : [];
  });
}

/** The flags on a command line, and whether there are words that belong to none. */
function flagsIn(
  argv: readonly string[],
  options: readonly Option[],
): { flags: Set<string>; hasWords: boolean } {
  const flags = new Set<string>();
  let hasWords = false;
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index]!;
    if (word === "--") return { flags, hasWords: hasWords || index + 1 < argv.length };
    if (!word.startsWith("-")) {
      hasWords = true;
      continue;
    }
    const [flag = word] = word.split("=");
    flags.add(flag);
    const option = options.find(({ names }) => names.some((name) => name === flag));
    if (option?.isToggle === false && flag === word) index++;
  }
  return { flags, hasWords };
}

function read(flag: string, { isToggle, isList }: Option, env: Environment): GivenByVariable[] {
  const variable = variableOf(flag);
  const text = env[variable] ?? "";
  if (text === "" || ofTheirOwn.has(variable)) return [];
  if (isToggle) {
    if (/^(0|false|no|off)$/i.test(text)) return [];
    if (/^(1|true|yes|on)$/i.test(text)) return [{ variable, flag, value: undefined }];
    throw new BackupError("usage/bad-value", `${variable} is "${text}"`, {
      hint: `1, true or yes gives ${flag}; 0, false, no or nothing does not.`,
    });
  }
  if (!isList) return [{ variable, flag, value: text }];
  const values = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "");
  return values.map((value) => ({ variable, flag, value }));
}

function inserted(
  argv: readonly string[],
  { path }: Command,
  given: readonly GivenByVariable[],
): string[] {
  const added = given.map(({ flag, value }) => value === undefined ? flag : `${flag}=${value}`);
  return [...path, ...added, ...argv.slice(path.length)];
}

/** An error of the parser that is a variable's. */
export function variableError(
  { code, message, hint }: BackupError,
  { variable, flag }: GivenByVariable,
): BackupError {
  return new BackupError(code, `${variable}: ${message.replace(`${flag}: `, "")}`, {
    hint: `${variable} gives ${flag}.${hint === undefined ? "" : ` ${hint}`}`,
  });
}
