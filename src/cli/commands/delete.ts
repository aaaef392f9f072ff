import type { DeletedCopy, DeletePlan, PruneOutcome } from "../../jobs/prune/types.ts";
import { deleteBackup } from "../../jobs/prune/delete.ts";
import { BackupError } from "../../core/errors.ts";
import { formatBytes, listed } from "../../core/text.ts";
import { commonFlags, defineCommand, merge, object, requiredArgument, toggle } from "../command.ts";
import { confirm } from "../confirm.ts";
import { errorJson } from "../errors.ts";
import { fromOption } from "../from.ts";
import type { Session } from "../session.ts";
import { formatTable } from "../table.ts";
import { formatTime } from "../times.ts";

/** `delete ID`. */
export const remove = defineCommand({
  path: ["delete"],
  brief: "Delete one backup everywhere.",
  description:
    "Deletes a backup at every destination that has it. It prints its plan first and asks. What is " +
    "on hold or locked by the store stays, and so does what others build on, unless " +
    "--with-dependents deletes them, too. Retention needs no help: `prune` is for that.",
  examples: [
    "dbbackup delete k3v9x2ma",
    "dbbackup delete k3v --from ./backups --dry-run",
    "dbbackup delete k3v9x2ma --with-dependents --yes",
  ],
  parser: merge(
    object({
      id: requiredArgument("ID", "The backup's id; its beginning is enough while it is unique."),
      from: fromOption(),
      withDependents: toggle("--with-dependents", "Delete what builds on it, too."),
      dryRun: toggle("--dry-run", "Print what would be deleted, and change nothing."),
      yes: toggle("--yes", "Go ahead without asking."),
    }),
    commonFlags,
  ),
  async run({ id, from, withDependents, dryRun, yes }, session) {
    const destinations = await session.destinations(from);
    const { plan, copies } = await deleteBackup({
      destinations,
      backup: id,
      isWithDependents: withDependents,
      async confirm(plan) {
        session.clearProgress();
        session.print(describePlan(plan));
        if (dryRun) return false;
        if (!yes) await confirm("The deletion", session);
        return true;
      },
    }, session.job("delete"));
    session.clearProgress();
    const errors = [...copies?.flatMap(errorOf) ?? [], ...plan.unreached.map(unreachedError)];
    for (const one of copies ?? []) session.print(describeCopy(one));
    for (const error of errors) session.complain(error);
    return { json: outcomeJson(plan, copies, session), codes: errors.map(({ code }) => code) };
  },
});

function describePlan({ ref, dependents, isNewestGood, copies }: DeletePlan): string {
  const head = `Delete ${ref.id}, ${ref.kind}, of ${ref.job}, ${formatTime(ref.createdAt)}`;
  const table = formatTable(
    [{ title: "ID" }, { title: "AT" }, { title: "SIZE", isRight: true }, { title: "FOLDER" }],
    copies.map(({ destination, ref: one }) => [
      one.id,
      destination,
      formatBytes(one.storedBytes),
      one.prefix,
    ]),
  );
  return [
    head,
    ...dependents.length === 0 ? [] : [`With what builds on it: ${listed(dependents)}`],
    ...isNewestGood ? [`WARNING: there is no newer good backup of ${ref.job}.`] : [],
    table,
  ].join("\n");
}

function describeCopy({ destination, ref, outcome }: DeletedCopy): string {
  return `${ref.id} at ${destination}: ${word(outcome)}`;
}

function word(outcome: PruneOutcome): string {
  switch (outcome.status) {
    case "dropped":
      return "deleted";
    case "retained":
      return `retained until ${formatTime(outcome.until)}, and left as it was`;
    case "failed":
      return `not deleted: ${outcome.error.message}`;
    default:
      return "left as it was";
  }
}

function errorOf({ destination, ref, outcome }: DeletedCopy): BackupError[] {
  if (outcome.status === "failed") return [outcome.error];
  if (outcome.status !== "retained") return [];
  const until = formatTime(outcome.until);
  return [
    new BackupError(
      "storage/retained",
      `Backup ${ref.id} at "${destination}" is retained until ${until}`,
      { hint: "The store deletes nothing before that. Nothing of it was touched." },
    ),
  ];
}

function unreachedError({ name, error: { code, message, hint } }: DeletePlan["unreached"][number]) {
  return new BackupError(code, `Cannot tell whether "${name}" has it: ${message}`, { hint });
}

function outcomeJson(
  plan: DeletePlan,
  copies: readonly DeletedCopy[] | undefined,
  session: Session,
): unknown {
  const { ref, dependents, isNewestGood, unreached } = plan;
  return {
    id: ref.id,
    job: ref.job,
    isDryRun: copies === undefined,
    isNewestGood,
    dependents,
    copies: copies === undefined
      ? plan.copies.map((one) => ({
        ...copyJson(one),
        ...statusJson({ status: "planned" }, session),
      }))
      : copies.map((one) => ({ ...copyJson(one), ...statusJson(one.outcome, session) })),
    unreached: unreached.map(({ name, error }) => ({
      destination: name,
      error: errorJson(error, session.secrets),
    })),
  };
}

function copyJson({ destination, location, ref }: DeletePlan["copies"][number]) {
  const { id, prefix, storedBytes } = ref;
  return { id, destination, location, prefix, storedBytes };
}

function statusJson(outcome: PruneOutcome, session: Session) {
  return {
    status: outcome.status === "dropped" ? "deleted" : outcome.status,
    retainedUntil: outcome.status === "retained" ? outcome.until.toISOString() : null,
    error: outcome.status === "failed" ? errorJson(outcome.error, session.secrets) : null,
  };
}
