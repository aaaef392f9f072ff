import type { Bytes } from "../../core/bytes.ts";
import { ChildError, type ChildSpec, childText } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import type { RestorableArtifact, RestoreStep } from "../../contracts/restore.ts";
import { quoteName } from "./client.ts";
import type { DumpedColumn } from "./columns.ts";
import type { RestoreContext } from "./restore-context.ts";
import { rewriteDump } from "./rewrite.ts";
import { checkUnique, keepOldKeys } from "./settings.ts";
import { type ClientTool, complaint, toolSpec } from "./tools.ts";
import { type Replacement, translate, translated } from "./translate.ts";
import { editValues, type ValueEdit } from "./values.ts";

/** Keeps scheduled events still; what changes in a statement. */
export type StillEvents = (head: string, database: string | undefined) => readonly Replacement[];

/**
 * Feeds a dump to mysql or mariadb: only what is restored, under its new names.
 *
 * @throws BackupError `restore/failed`, and those of reading the artifact
 */
export async function feedDump(
  artifact: RestorableArtifact,
  steps: readonly RestoreStep[],
  r: RestoreContext,
  stillEvents?: StillEvents,
): Promise<void> {
  await feed(chosen(artifact, steps, r, stillEvents), r);
}

function chosen(
  artifact: RestorableArtifact,
  steps: readonly RestoreStep[],
  { selection, server, abroad, complaints, ...o }: RestoreContext,
  stillEvents: StillEvents | undefined,
): Bytes {
  const targets = new Map(steps.map((step) => [step.from, step]));
  const opened = server.flavour === "MySQL"
    // Dumps of older versions of this program have it not in them.
    ? editValues(keepOldKeys(artifact.open(o)), asMysqlTakes)
    : artifact.open(o);
  return rewriteDump(complaints === undefined ? opened : checkUnique(opened), {
    rename: (database) => targets.get(database)?.to,
    keeps: (database, object, name) =>
      selection.isPartial
        ? ["table", "view", "sequence"].includes(object) && selection.has(database, name)
        : true,
    keepsRows: () => true,
    keepsServerLines: false,
    movesSequences: true,
    translate: (head, database) => [
      ...abroad === undefined ? [] : translate(head, abroad),
      ...stillEvents?.(head, targets.get(database ?? "")?.to) ?? [],
    ],
    // An empty database that was there has a character set of its own.
    afterCreate: (database, rest) => {
      const step = targets.get(database);
      return step?.mode === "fill" && !selection.isPartial && !/^\s*;?\s*$/.test(rest)
        ? `\nALTER DATABASE ${quoteName(step.to)}${
          abroad === undefined ? rest : translated(rest, abroad)
        }`
        : "";
    },
    ...complaints === undefined ? {} : { note: complaints.note },
  });
}

/** MySQL computes generated columns itself, and takes `-0` for an integer, which has no sign. */
function asMysqlTakes({ isGenerated, type }: DumpedColumn): ValueEdit | undefined {
  if (isGenerated) return { to: "DEFAULT" };
  return type === "DOUBLE" || type === "FLOAT" ? { from: "-0", to: "-0e0" } : undefined;
}

/** A run of the client that takes statements from its input. */
export function clientSpec(
  { tool, address, isEncrypted, options }: RestoreContext,
  more: readonly string[] = [],
): ChildSpec {
  return toolSpec(tool, address, isEncrypted, [
    "--batch",
    "--binary-mode",
    // A new connection would know nothing of the settings that the input begins with.
    "--skip-reconnect",
    // Statements hold data, which belongs into no log.
    ...tool.flavour === "MariaDB" ? ["--loose-skip-print-query-on-error"] : [],
    ...more,
    ...options.restoreArgs,
  ]);
}

async function feed(bytes: Bytes, r: RestoreContext): Promise<void> {
  const { tool, complaints } = r;
  const spec = {
    ...clientSpec(r, complaints === undefined ? [] : ["--force"]),
    input: bytes,
    ...complaints === undefined ? {} : { onStderr: complaints.hear },
  };
  try {
    await childText(spec, r);
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw failure(tool, complaint(error), error);
  }
  const lost = complaints?.lost();
  if (lost !== undefined) throw failure(tool, lost);
}

function failure({ name }: ClientTool, message: string, cause?: ChildError): BackupError {
  return new BackupError("restore/failed", `${name} failed: ${message}`, {
    ...cause === undefined ? {} : { cause, details: { stderr: cause.exit.stderr } },
    hint:
      "Its whole output is in the log at --log-level debug. With --keep-going a restore goes on " +
      "after statements that fail.",
  });
}
