import { group, merge, object } from "@optique/core/constructs";
import { type Message, message, text as words } from "@optique/core/message";
import { map, multiple, optional, withDefault } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { argument, command as optiqueCommand, flag, option } from "@optique/core/primitives";
import type { NonEmptyString } from "@optique/core/nonempty";
import type { OptionName, Usage, UsageTerm } from "@optique/core/usage";
import { choice, integer, string, type ValueParser } from "@optique/core/valueparser";
import type { ErrorCode } from "../core/errors.ts";
import { offersFor } from "./completion.ts";
import type { CommonFlags } from "./flags.ts";
import type { Session } from "./session.ts";

/** How a command ended, when it did not throw. */
export interface Outcome {
  /** What `--json` prints. */
  readonly json: unknown;
  /** What went wrong on the way; the worst decides the exit status. */
  readonly codes?: readonly ErrorCode[];
}

/** A command line that was understood, ready to be carried out. */
export interface Invocation {
  readonly flags: CommonFlags;
  run(session: Session): Promise<Outcome>;
}

/** One command, with what its help shows. */
export interface Command {
  /** `["config", "init"]`. */
  readonly path: readonly string[];
  /** One line, for the list of commands. */
  readonly brief: string;
  /** Command lines that work as they stand. */
  readonly examples: readonly string[];
  readonly parser: Parser<"sync", Invocation, unknown>;
}

/** Defines a command; `run` gets the parsed values. */
export function defineCommand<T extends CommonFlags>(spec: {
  readonly path: readonly string[];
  readonly brief: string;
  readonly description?: string;
  readonly examples: readonly string[];
  readonly parser: Parser<"sync", T, unknown>;
  run(values: T, session: Session): Promise<Outcome>;
}): Command {
  const { path, brief, examples } = spec;
  const invocation = map(
    spec.parser,
    (values): Invocation => ({ flags: values, run: (session) => spec.run(values, session) }),
  );
  const parser = optiqueCommand(path.at(-1)!, invocation, {
    brief: plain(brief),
    ...(spec.description === undefined ? {} : { description: plain(spec.description) }),
    usageLine: shortUsage,
  });
  return { path, brief, examples, parser };
}

/** Options stand below with their meaning, so the usage line shows only what has no name. */
function shortUsage(usage: Usage): Usage {
  return [{ type: "literal", value: "[OPTION...]" }, ...usage.filter((term) => !hasOption(term))];
}

function hasOption(term: UsageTerm): boolean {
  if (term.type === "option") return true;
  return (term.type === "optional" || term.type === "multiple") && term.terms.some(hasOption);
}

/** The parser of {@link CommonFlags}, to be merged into each command's own. */
export const commonFlags = group(
  "Common options",
  object({
    config: optional(option("--config", text("PATH"), {
      description: message`The config to use, instead of searching the usual places.`,
    })),
    json: toggle("--json", "Print one JSON document on standard output."),
    quiet: toggle("--quiet", "Say nothing but errors; a log file is written as ever."),
    logLevel: optional(
      option("--log-level", choice(["debug", "info", "warning", "error"], { metavar: "LEVEL" }), {
        description: message`How much is logged.`,
      }),
    ),
    logFormat: optional(
      option("--log-format", choice(["text", "json"], { metavar: "FORMAT" }), {
        description: message`How log lines look.`,
      }),
    ),
    logFile: optional(option("--log-file", text("PATH"), {
      description: message`A file for the log, rotated, instead of standard error.`,
    })),
  }),
);

/** A flag without a value; false when it is not given. */
export function toggle(name: OptionName, description: string) {
  return withDefault(flag(name, { description: plain(description) }), false);
}

/** A text that is not empty: an unset variable in a script (`--from "$DIR"`) is no path. */
function text(metavar: NonEmptyString): ValueParser<"sync", string> {
  const parser = string({
    metavar,
    pattern: /[^]/,
    errors: { patternMismatch: plain("Expected a text that is not empty") },
  });
  return { ...parser, suggest: (pattern) => offersFor(metavar, pattern) };
}

/** An option with a text. */
export function textOption(name: OptionName, metavar: NonEmptyString, description: string) {
  return optional(option(name, text(metavar), { description: plain(description) }));
}

/** An option that may be given several times. */
export function listOption(name: OptionName, metavar: NonEmptyString, description: string) {
  return multiple(option(name, text(metavar), { description: plain(description) }));
}

/** An option with a whole number from 1. */
export function countOption(name: OptionName, metavar: NonEmptyString, description: string) {
  return optional(option(name, integer({ min: 1, metavar }), { description: plain(description) }));
}

/** Arguments without a name. */
export function restArguments(metavar: NonEmptyString, description: string) {
  return multiple(argument(text(metavar), { description: plain(description) }));
}

/** One argument that may be missing. */
export function optionalArgument(metavar: NonEmptyString, description: string) {
  return optional(argument(text(metavar), { description: plain(description) }));
}

/** One argument that must be there. */
export function requiredArgument(metavar: NonEmptyString, description: string) {
  return argument(text(metavar), {
    description: plain(description),
    errors: { endOfInput: plain(`${metavar} is missing`) },
  });
}

/** A text as it is, for help: nothing in it is markup. */
export function plain(sentence: string): Message {
  return [words(sentence)];
}

export { merge, object };
