import { z } from "zod";
import type { RestoreResult } from "../contracts/restore.ts";
import type { IncompleteDetails, RestoreLeftover } from "../contracts/inventory.ts";
import { BackupError, hasCode } from "../core/errors.ts";
import { counted } from "../core/text.ts";
import { differenceText } from "./restore-text.ts";

// What fits on a few screens; --json tells all of them.
const mostLines = 100;

/**
 * Tells a restore whose result differs from the inventory whole: every difference on a line of its
 * own, where the data is, and the command that takes it as it is.
 *
 * @param command see {@link adoptCommand}
 * @returns other errors as they are
 */
export function incompleteError(error: BackupError, command: string): BackupError {
  if (!hasCode(error, "restore/incomplete")) return error;
  const { differences, left } = detailsOf(error);
  const lines = differences.length < 2
    ? []
    : bounded(differences.map((one) => `  differs: ${differenceText(one)}`));
  const how = left.length === 0
    ? "To restore again and take the result as it is:"
    : "Look at it, then take it as it is with:";
  return new BackupError(error.code, [error.message, ...lines].join("\n"), {
    cause: error.cause ?? error,
    hint: [...left.map(leftText), `${how}\n  ${command}`].join("\n"),
    details: { ...error.details, command },
  });
}

/**
 * What a restore that kept going has to say at its end; undefined where everything is in its place.
 *
 * @param command see {@link adoptCommand}
 */
export function unfinishedError(result: RestoreResult, command: string): BackupError | undefined {
  const { failures, left } = result;
  if (failures.length === 0 && left.length === 0) return undefined;
  const lines = failures.map(({ database, object, message, leaves }) =>
    `  ${database}: ${object === undefined ? "" : `${object}: `}${oneLine(message)}\n` +
    `    ${oneLine(leaves)}`
  );
  const isBeside = left.some(({ to, name }) => to !== name);
  const hint = isBeside
    ? `Look at it, make by hand what is missing, then put it in its place with:\n  ${command}`
    : "It can be used. Make by hand what is missing.";
  return new BackupError(
    "restore/statements-failed",
    [
      `The restore went on after ${counted(failures.length, "failed statement")}` +
      `${failures.length === 0 ? "" : ":"}`,
      ...bounded(lines),
    ].join("\n"),
    {
      hint: [...left.map(leftText), hint].join("\n"),
      details: { failures, left, ...isBeside ? { command } : {} },
    },
  );
}

const leftSchema = z.array(z.object({ from: z.string(), to: z.string(), name: z.string() }));
const differenceSchema = z.array(z.object({
  database: z.string(),
  type: z.string(),
  name: z.string(),
  problem: z.enum(["missing", "count", "extra"]),
  expected: z.number().optional(),
  found: z.number().optional(),
}));

/** A connector of a plugin may tell less than {@link IncompleteDetails}. */
function detailsOf({ details }: BackupError): {
  readonly differences: readonly z.infer<typeof differenceSchema>[number][];
  readonly left: IncompleteDetails["left"];
} {
  return {
    differences: differenceSchema.catch([]).parse(details?.["differences"]),
    left: leftSchema.catch([]).parse(details?.["left"]),
  };
}

function leftText({ to, name }: RestoreLeftover): string {
  return to === name
    ? `What was restored is where it is to be, in "${name}".`
    : `What was restored for "${to}" is "${name}"; "${to}" was not touched.`;
}

function bounded(lines: readonly string[]): string[] {
  const more = lines.length - mostLines;
  return more <= 0
    ? [...lines]
    : [...lines.slice(0, mostLines), `  … and ${more} more: --json tells all of them`];
}

/** A server's words may have several lines, and each failure is to have its own. */
function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, " ");
}
