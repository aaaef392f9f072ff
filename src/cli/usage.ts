import { formatMessage, type Message } from "@optique/core/message";
import { extractOptionNames } from "@optique/core/usage";
import { BackupError, type ErrorCode } from "../core/errors.ts";
import { nearest, suggestion } from "../core/text.ts";
import type { Command } from "./command.ts";
import { commandOf } from "./help.ts";

/** Makes our kind of error of what the parser says about a command line. */
export function usageError(
  message: Message,
  argv: readonly string[],
  commands: readonly Command[],
): BackupError {
  const text = formatMessage(message, { colors: false, quotes: true }).split("\n\n")[0]!;
  const unexpected = /^Unexpected option or (?:subcommand|argument): [`"](.*)[`"]\.$/s.exec(text)
    ?.[1];
  if (unexpected !== undefined) return unexpectedWord(unexpected, argv, commands);
  const own = commandOf(argv, commands);
  const meant = meantChoice(text);
  if (argv[0] === "completions") {
    const [, shell] = /^Unsupported shell "(.*?)"/s.exec(text) ?? [];
    const message = shell === undefined
      ? "The name of a shell is missing"
      : `There are no completions for ${JSON.stringify(shell)}`;
    const best = nearest(shell ?? "", ["bash", "zsh", "fish", "nu", "pwsh"]);
    return new BackupError(codeOf(text), message, {
      hint: `${best === undefined ? "" : `Did you mean "${best}"? `}` +
        "Give bash, zsh, fish, nu or pwsh: " +
        '`eval "$(dbbackup completions bash)"`, `dbbackup completions fish | source`.',
    });
  }
  return new BackupError(codeOf(text), sentence(text), {
    hint: `${meant}\`dbbackup ${
      own === undefined ? "" : `${own.path.join(" ")} `
    }--help\` shows how.`,
  });
}

/** "Did you mean", where the parser told of a value that is none of several. */
function meantChoice(text: string): string {
  const [, known = "", wrong = ""] = /one of (".*"), but got "(.*)"/s.exec(text) ?? [];
  const best = nearest(wrong, [...known.matchAll(/"([^"]*)"/g)].map(([, name]) => name!));
  return best === undefined ? "" : `Did you mean "${best}"? `;
}

function unexpectedWord(
  word: string,
  argv: readonly string[],
  commands: readonly Command[],
): BackupError {
  const own = commandOf(argv, commands);
  if (word.startsWith("-") && own !== undefined) {
    const [flag = word] = word.split("=");
    const options = [...extractOptionNames(own.parser.usage), "--help"];
    const best = nearest(flag, options);
    const known = best === undefined
      ? `\`dbbackup ${own.path.join(" ")} --help\` lists its options.`
      : `Did you mean "${best}"?`;
    return new BackupError(
      "usage/unknown-option",
      `${own.path.join(" ")}: unknown option "${flag}"`,
      {
        hint: known,
      },
    );
  }
  if (own !== undefined) {
    const name = own.path.join(" ");
    return new BackupError("usage/unexpected-argument", `${name}: unexpected argument "${word}"`, {
      hint: `\`dbbackup ${name} --help\` shows how. A name that begins with a dash goes after --.`,
    });
  }
  if (word.startsWith("-")) {
    return new BackupError(
      "usage/unknown-option",
      `Unknown option "${word}" before the command`,
      {
        hint: "Put options after the command: `dbbackup list --json`.",
      },
    );
  }
  const isInGroup = argv[0] !== word && commands.some(({ path }) => path[0] === argv[0]);
  const known = isInGroup
    ? commands.filter(({ path }) => path[0] === argv[0]).map(({ path }) => path[1]!)
    : [...new Set(commands.map(({ path }) => path[0]!)), "completions"];
  const name = isInGroup ? `${argv[0]} ${word}` : word;
  return new BackupError("usage/unknown-command", `Unknown command "${name}"`, {
    hint: suggestion(word, known),
  });
}

function codeOf(text: string): ErrorCode {
  if (/requires|missing|too few/i.test(text)) return "usage/missing-value";
  if (/multiple times/.test(text)) return "usage/repeated-option";
  return "usage/bad-value";
}

/** Our sentences end without a full stop, quote with `"`, and say what they mean in fewer words. */
function sentence(text: string): string {
  return text.replaceAll("`", '"').replace(/\.$/, "")
    .replace(/^"(--?[\w-]+)": E/, "$1: e")
    .replace(/^"(--?[\w-]+)" requires "(.*)"$/, "$1 needs a value: $2")
    .replace(/\b([Ee]xpected) one of (".*"), but got/s, (_, word: string, known: string) => {
      const names = [...known.matchAll(/"([^"]*)"/g)].map(([, name]) => name!);
      return `${word} ${names.slice(0, -1).join(", ")} or ${names.at(-1)}, but got`;
    })
    .replace("a valid integer", "a whole number")
    .replace("a value greater than or equal to", "at least")
    .replace("a value less than or equal to", "at most");
}
