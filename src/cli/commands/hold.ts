import { setHold } from "../../jobs/prune/hold.ts";
import { commonFlags, defineCommand, merge, object, requiredArgument } from "../command.ts";
import { errorJson } from "../errors.ts";
import { fromOption } from "../from.ts";
import type { Session } from "../session.ts";

const parser = merge(
  object({
    id: requiredArgument("ID", "The backup's id; its beginning is enough while it is unique."),
    from: fromOption(),
  }),
  commonFlags,
);

/** `hold ID`. */
export const hold = defineCommand({
  path: ["hold"],
  brief: "Keep a backup from being pruned.",
  description: "Marks a backup at every destination that has it. Until it is released, prune " +
    "keeps it, and what it builds on, whatever the job's retention says.",
  examples: ["dbbackup hold k3v9x2ma", "dbbackup hold k3v --from ./backups"],
  parser,
  run: (values, session) => change(values, true, session),
});

/** `release ID`. */
export const release = defineCommand({
  path: ["release"],
  brief: "Let a backup that is on hold be pruned again.",
  description: "Takes the mark of hold away at every destination that has the backup.",
  examples: ["dbbackup release k3v9x2ma"],
  parser,
  run: (values, session) => change(values, false, session),
});

async function change(
  { id, from }: { readonly id: string; readonly from: readonly string[] },
  isHeld: boolean,
  session: Session,
) {
  const destinations = await session.destinations(from);
  const changed = await setHold({ destinations, backup: id, isHeld }, session.job("hold"));
  session.clearProgress();
  const done = changed.results.filter(({ error }) => error === undefined);
  const names = done.map(({ destination }) => destination).join(", ");
  if (done.length > 0) {
    session.print(
      `${changed.id} of ${changed.job} is ${isHeld ? "on hold" : "released"}: ${names}`,
    );
  }
  const errors = changed.results.flatMap(({ error }) => error ?? []);
  for (const error of errors) session.complain(error);
  return {
    json: {
      id: changed.id,
      job: changed.job,
      isHeld,
      destinations: changed.results.map(({ destination, error }) => ({
        name: destination,
        error: error === undefined ? null : errorJson(error, session.secrets),
      })),
    },
    codes: errors.map(({ code }) => code),
  };
}
