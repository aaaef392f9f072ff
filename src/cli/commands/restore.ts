import type { Config, DatabaseDefinition, DestinationDefinition } from "../../config/model.ts";
import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import { listRefs } from "../../jobs/list/list.ts";
import { resolveReached } from "../../jobs/shared/resolve-reached.ts";
import { prepareRestore } from "../../jobs/restore/restore.ts";
import type { PreparedRestore, RestoreRequest } from "../../jobs/restore/types.ts";
import { jobOrBackup, type Wanted } from "../backups.ts";
import {
  commonFlags,
  countOption,
  defineCommand,
  listOption,
  merge,
  object,
  optionalArgument,
  type Outcome,
  textOption,
  toggle,
} from "../command.ts";
import { confirm } from "../confirm.ts";
import { keyFlags } from "../encryption.ts";
import { fromOption } from "../from.ts";
import { givenDatabase } from "../given.ts";
import { errorJson } from "../errors.ts";
import { adoptCommand, type RestoreWords } from "../restore-again.ts";
import { incompleteError, unfinishedError } from "../restore-left.ts";
import { describePlan, describeResult, planJson, resultJson } from "../restore-text.ts";
import type { Session } from "../session.ts";
import { parseTime } from "../times.ts";

const flags = object({
  what: optionalArgument("BACKUP|JOB", "A backup's id, or a job, whose newest backup is meant."),
  from: fromOption(),
  to: textOption(
    "--to",
    "URL",
    "The database to restore into: a URL, env:NAME, or a name of the config. Default: the job's own.",
  ),
  passwordFile: textOption(
    "--password-file",
    "PATH",
    "The password of --to: a file, env:NAME or command:LINE.",
  ),
  at: textOption(
    "--at",
    "TIME",
    "The state of this moment; where no log is kept, the newest backup that is not after it. " +
      "`latest` is the default.",
  ),
  atPosition: textOption(
    "--at-position",
    "POSITION",
    "The state at this position of the change log, as the database writes it: LSN@TIMELINE, " +
      "FILE:POSITION, a GTID set, T:I.",
  ),
  databases: listOption("--database", "NAME", "Only this database of the backup."),
  only: listOption("--only", "TABLE", "Only this table or collection."),
  overwrite: toggle("--overwrite", "Replace what is there; what happens to it stands in the plan."),
  accounts: toggle("--accounts", "Restore roles, users and grants, too."),
  keepGoing: toggle(
    "--keep-going",
    "Go on after statements that fail, list them, and end with status 8.",
  ),
  acceptDifferences: toggle(
    "--accept-differences",
    "Take what was restored as it is, although it differs from the backup's inventory.",
  ),
  parallel: countOption("--jobs", "N", "Restore with N workers at a time, where the tool can."),
  restoreArgs: listOption("--restore-arg", "ARG", "One more argument for the restore tool."),
  dryRun: toggle("--dry-run", "Print the plan and change nothing."),
  yes: toggle("--yes", "Go ahead without asking."),
});

/** `restore [BACKUP|JOB]`. */
export const restore = defineCommand({
  path: ["restore"],
  brief: "Restore a backup.",
  description:
    "Restores the newest backup of a job, or the one that is named. It prints its plan " +
    "first and asks; nothing is touched before. With --from it needs no config.",
  examples: [
    "dbbackup restore shop --overwrite",
    "dbbackup restore k3v9x2ma --to postgres://app@localhost/shop_copy --yes",
    "dbbackup restore --from ./backups --to sqlite:./restored.db",
    "dbbackup restore --from /mnt/a --to sqlite:./restored.db --identity ~/key.txt",
    "dbbackup restore shop --at 2026-11-23T03:00:00Z --to scratch --dry-run",
  ],
  parser: merge(flags, keyFlags, commonFlags),
  async run(values, session) {
    const config = values.from.length === 0 ? await session.config() : await session.namedConfig();
    const all = await session.destinations(values.from);
    const wanted = await jobOrBackup(values.what, config, all, session);
    assertOneMoment(values, wanted.backup);
    const job = await jobOf(wanted, config, all, session);
    const target = await targetOf(values, job, config, session);
    const destinations = values.from.length > 0 ? all : destinationsOf(job, config, all);
    const request: RestoreRequest = {
      destinations,
      ...wanted,
      ...momentOf(values, target),
      target,
      ...(values.databases.length === 0 ? {} : { databases: values.databases }),
      only: values.only,
      isOverwrite: values.overwrite,
      isWithAccounts: values.accounts,
      isDifferenceAccepted: values.acceptDifferences,
      isKeepGoing: values.keepGoing,
      jobs: values.parallel ?? 1,
      restoreArgs: values.restoreArgs,
      isDryRun: values.dryRun,
    };
    const prepared = await prepareRestore(request, session.job("restore", values));
    try {
      if (prepared.refusals.length > 0) return refusedPlan(prepared, values, session);
      return await carryOut(prepared, values, session);
    } finally {
      await prepared.close();
    }
  },
});

interface MomentFlags {
  readonly at: string | undefined;
  readonly atPosition: string | undefined;
}

function assertOneMoment({ at, atPosition }: MomentFlags, id: string | undefined): void {
  if (at !== undefined && atPosition !== undefined) {
    throw new BackupError("usage/two-moments", "--at and --at-position exclude each other", {
      hint: "Give the time, or the position in the change log.",
    });
  }
  if (id === undefined || (at ?? atPosition) === undefined) return;
  const flag = at === undefined ? "--at-position" : "--at";
  throw new BackupError("usage/at-with-id", `${flag} cannot go with the id "${id}"`, {
    hint: `An id names one backup already. Name the job to have ${flag} pick one.`,
  });
}

/** @throws BackupError `usage/bad-time`, `usage/bad-position`, `usage/no-positions` */
function momentOf(
  { at, atPosition }: MomentFlags,
  { kind }: DatabaseDefinition,
): Pick<RestoreRequest, "at" | "position"> {
  if (at !== undefined) return at.trim() === "latest" ? {} : { at: parseTime(at) };
  if (atPosition === undefined) return {};
  const parse = kind.positions?.parse;
  if (parse !== undefined) return { position: parse(atPosition.trim()) };
  throw new BackupError("usage/no-positions", `${kind.title} has no positions to restore to`, {
    hint: "Give a time: --at 2026-11-23T03:00:00Z.",
  });
}

/** What a restore that is only looked at would do, if it were not for what it is refused for. */
function refusedPlan(
  prepared: PreparedRestore,
  words: RestoreWords & MomentFlags,
  session: Session,
): Outcome {
  const { refusals } = prepared;
  session.clearProgress();
  const isFull = refusals.every(({ code }) => code === "restore/not-empty");
  session.print(
    `The restore would be refused. ${isFull ? "With --overwrite" : "Else"} it would do this:`,
  );
  session.print(describePlan(prepared, words, session));
  for (const refusal of refusals) session.complain(refusal);
  const errors = refusals.map((refusal) => errorJson(refusal, session.secrets));
  return {
    json: {
      plan: planJson(prepared),
      isRefused: true,
      result: null,
      error: errors[0],
      errors,
    },
    codes: refusals.map(({ code }) => code),
  };
}

async function carryOut(
  prepared: PreparedRestore,
  values: RestoreWords & MomentFlags & { readonly dryRun: boolean },
  session: Session,
): Promise<Outcome> {
  const command = adoptCommand(whatOf(prepared, values), values);
  session.clearProgress();
  session.print(describePlan(prepared, values, session));
  if (values.dryRun) return { json: { plan: planJson(prepared), result: null } };
  if (!values.yes) await confirm("A restore", session);
  const result = await prepared.run().catch((error: unknown) => {
    throw incompleteError(withPlan(interruptedError(error, session), prepared), command);
  });
  session.clearProgress();
  session.print(describeResult(result, prepared, session));
  const json = { plan: planJson(prepared), result: resultJson(result) };
  const error = unfinishedError(result, command);
  if (error === undefined) return { json };
  session.complain(error);
  return { json: { ...json, error: errorJson(error, session.secrets) }, codes: [error.code] };
}

/** What the same restore is of: "the newest" may be another by then, a moment stays the same. */
function whatOf({ manifest, until }: PreparedRestore, { atPosition }: MomentFlags): string[] {
  if (until === undefined) return [manifest.id];
  if ("at" in until) return [manifest.job, "--at", until.at.toISOString()];
  return [manifest.job, ...atPosition === undefined ? [] : ["--at-position", atPosition]];
}

/** What an interruption says of backups is not what matters here; a connector that left something says so. */
function interruptedError(error: unknown, { host }: Session): unknown {
  if (!host.signal.aborted || !hasCode(error, "interrupted/")) return error;
  const { hint = "" } = toBackupError(host.signal.reason);
  const left = (error.hint ?? "").replace(hint, "").trim();
  return new BackupError(error.code, error.message, {
    cause: error.cause ?? error,
    hint: left !== ""
      ? left
      : "What was there is as it was, and what was restored so far is removed. Start it again.",
    ...(error.details === undefined ? {} : { details: error.details }),
  });
}

/** A failed restore tells machines what it was about to do, too. */
function withPlan(error: unknown, prepared: PreparedRestore): BackupError {
  const { code, message, hint, details, cause } = toBackupError(error);
  const steps = prepared.plan.steps;
  return new BackupError(code, message, {
    ...(hint === undefined ? {} : { hint }),
    cause: cause ?? error,
    details: { ...details, backup: prepared.manifest.id, steps },
  });
}

/** The job whose backup is meant, as far as the config knows it. */
async function jobOf(
  wanted: Wanted,
  config: Config | undefined,
  destinations: readonly DestinationDefinition[],
  session: Session,
): Promise<string | undefined> {
  if (config === undefined) return undefined;
  if (wanted.job !== undefined) return wanted.job;
  if (wanted.backup === undefined) {
    return config.jobs.size === 1 ? [...config.jobs.keys()][0] : undefined;
  }
  const { refs, unreached } = await listRefs(destinations, session.job("list"));
  session.clearProgress();
  return resolveReached(refs, wanted.backup, unreached).job;
}

async function targetOf(
  values: { readonly to: string | undefined; readonly passwordFile: string | undefined },
  job: string | undefined,
  config: Config | undefined,
  session: Session,
): Promise<DatabaseDefinition> {
  if (values.to !== undefined) {
    return await givenDatabase(values.to, values.passwordFile, config, session);
  }
  if (values.passwordFile !== undefined) {
    throw new BackupError("usage/password-file", "--password-file needs a --to", {
      hint: "It holds the password of the database that --to names.",
    });
  }
  const own = job === undefined ? undefined : config?.jobs.get(job)?.database;
  if (own !== undefined) return own;
  throw new BackupError("usage/missing-target", "Nothing says where to restore to", {
    hint: config === undefined
      ? "Name the database with --to URL."
      : "Name a job of the config, whose database is then the target, or a database with --to.",
  });
}

/** Without `--from`: where the job's backups are; everywhere for a job the config does not know. */
function destinationsOf(
  job: string | undefined,
  config: Config | undefined,
  all: readonly DestinationDefinition[],
): readonly DestinationDefinition[] {
  return (job === undefined ? undefined : config?.jobs.get(job)?.destinations) ?? all;
}
