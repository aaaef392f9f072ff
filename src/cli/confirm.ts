import { BackupError } from "../core/errors.ts";
import type { Session } from "./session.ts";

/**
 * Asks whether to go ahead with a plan that was just printed.
 *
 * @param what begins the sentence that says it was not: `The restore`
 * @throws BackupError `usage/declined`; `usage/confirmation` where nobody can be asked
 */
export async function confirm(what: string, session: Session): Promise<void> {
  const { ask } = session.host;
  if (session.flags.quiet) {
    throw new BackupError("usage/confirmation", `${what} needs to be confirmed`, {
      hint: "--quiet shows no plan: give --yes, too, or leave --quiet out.",
    });
  }
  const isAsking = ask !== undefined && !session.flags.json;
  const answer = isAsking ? await ask("Go ahead? [y/N] ", { isHidden: false }) : undefined;
  if (answer !== undefined && /^y(es)?$/i.test(answer.trim())) return;
  if (isAsking) {
    throw new BackupError("usage/declined", `${what} was not confirmed; nothing was changed`, {
      hint: "Answer y to go ahead, or give --yes.",
    });
  }
  throw new BackupError("usage/confirmation", `${what} needs to be confirmed`, {
    hint: "There is no terminal to ask on: read the plan with --dry-run, then give --yes.",
  });
}
