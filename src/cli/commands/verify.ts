import { BackupError, type ErrorCode } from "../../core/errors.ts";
import { counted, listed } from "../../core/text.ts";
import { verifyBackups } from "../../jobs/verify/verify.ts";
import type { Stray, VerifyResult } from "../../jobs/verify/types.ts";
import type { DestinationDefinition } from "../../config/model.ts";
import type { FailedDestination } from "../../jobs/shared/destinations.ts";
import { jobOrBackup } from "../backups.ts";
import { commonFlags, defineCommand, merge, object, restArguments, toggle } from "../command.ts";
import { runDrills } from "../drills.ts";
import { keyFlags } from "../encryption.ts";
import { errorJson } from "../errors.ts";
import { fromOption } from "../from.ts";
import type { Session } from "../session.ts";

/** `verify [ID…|JOB]`. */
export const verify = defineCommand({
  path: ["verify"],
  brief: "Check that backups are complete and undamaged.",
  description: "Checks that every file of a backup is there with the right size. With --deep it " +
    "reads every byte: digests, decompression, the dump's structure, and the engine's own tool " +
    "where it has one. A deep check that ends well marks the backup as verified; damage marks it " +
    "as damaged. What is encrypted is looked into when its key is given; its digests always are.",
  examples: [
    "dbbackup verify",
    "dbbackup verify k3v9x2ma --deep",
    "dbbackup verify --from /var/backups --latest --deep --json",
    "dbbackup verify --drill shop",
  ],
  parser: merge(
    object({
      what: restArguments("BACKUP|JOB", "Ids of backups, or one job. Default: all."),
      from: fromOption(),
      deep: toggle("--deep", "Read every byte."),
      latest: toggle("--latest", "Only the newest backup of each job and server."),
      drill: toggle(
        "--drill",
        "Restore each job's newest backup into a database that it makes and removes, and ask that " +
          "what the job's drill says.",
      ),
    }),
    keyFlags,
    commonFlags,
  ),
  async run({ what, from, deep, latest, drill, ...keys }, session) {
    if (drill) return await runDrills({ what, from, others: deep || latest }, keys, session);
    const config = from.length === 0 ? await session.config() : await session.namedConfig();
    const destinations = await session.destinations(from);
    const [only] = what;
    const wanted = what.length === 1
      ? await jobOrBackup(only, config, destinations, session)
      : undefined;
    const unreached: FailedDestination[] = [];
    const strays: BackupError[] = [];
    const results = await verifyBackups({
      destinations,
      backups: wanted?.job === undefined ? what : [],
      ...(wanted?.job === undefined ? {} : { job: wanted.job }),
      isLatestOnly: latest,
      isDeep: deep,
      kinds: session.connectors(),
    }, {
      ...session.job("verify", keys),
      onResult: (result) => session.print(describe(result, session)),
      onUnreached: (one) => unreached.push(one),
      onStray: (one) => strays.push(strayError(one)),
    });
    session.clearProgress();
    if (results.length + strays.length + unreached.length === 0) {
      throw nothingThere(what, destinations);
    }
    session.print(summary(results));
    const errors = [...complaints(results), ...strays, ...unreached.map(unreachedError)];
    for (const error of errors) session.complain(error);
    /** One by one, as they are written. */
    function* entries(): Generator<unknown> {
      for (const one of results) yield resultJson(one);
      for (const one of unreached) yield unreachedJson(one, session);
    }
    return {
      json: entries(),
      codes: [...results.flatMap(codesOf), ...errors.map(({ code }) => code)],
    };
  },
});

/** A check of nothing is not a check that ended well. */
function nothingThere(
  what: readonly string[],
  destinations: readonly DestinationDefinition[],
): BackupError {
  const places = destinations.map(({ name }) => `"${name}"`).join(", ");
  const whose = what.length === 0 ? "" : ` of "${what.join(", ")}"`;
  return new BackupError("storage/no-backup", `There is no backup${whose} at ${places}`, {
    hint: what.length === 0
      ? "Check the destination: it holds nothing, or its disk is not mounted."
      : "`dbbackup list` shows what there is.",
  });
}

function strayError({ destination, prefix, right }: Stray): BackupError {
  return new BackupError(
    "verification/stray-folder",
    `The folder "${prefix}" at "${destination}" holds a backup under a name that is none`,
    {
      hint:
        `By its manifest it is "${right}". If it was renamed, rename it back; if it is a copy, ` +
        "delete it or move it elsewhere.",
    },
  );
}

function unreachedJson({ name, error }: FailedDestination, session: Session): unknown {
  return {
    id: null,
    job: null,
    destination: name,
    status: "unreached",
    checks: [],
    problems: [],
    notes: [],
    mark: null,
    error: errorJson(error, session.secrets),
  };
}

function unreachedError({ name, error: { code, message, hint } }: FailedDestination): BackupError {
  return new BackupError(code, `Nothing at "${name}" was checked: ${message}`, { hint });
}

/** The sum of what is wrong, on standard error: what cron mails, and what `> /dev/null` leaves. */
function complaints(results: readonly VerifyResult[]): BackupError[] {
  const named = (status: VerifyResult["status"]) =>
    results.filter((one) => one.status === status).map((one) => `${one.id} at ${one.destination}`);
  const [damaged, flawed, unchecked] = [named("damaged"), named("flawed"), named("unchecked")];
  const errors: BackupError[] = [];
  if (damaged.length > 0) {
    const message = `${share(damaged, results)} damaged: ${listed(damaged)}`;
    errors.push(
      new BackupError("verification/damaged", message, {
        hint: "Take a new backup now. A restore takes an undamaged copy, or an older backup.",
      }),
    );
  }
  if (flawed.length > 0) {
    const message = `${share(flawed, results)} flawed: ${listed(flawed)}`;
    errors.push(
      new BackupError("verification/flawed", message, {
        hint: "What a restore needs is right there; what is not is told above. `dbbackup copy` " +
          "heals it from another destination.",
      }),
    );
  }
  if (unchecked.length > 0) {
    const message = `${unchecked.length} of ${
      counted(results.length, "copy", "copies")
    } could not be checked: ${listed(unchecked)}`;
    errors.push(
      new BackupError("storage/unreadable", message, {
        hint: "The notes above say why. They are neither good nor damaged until they are read.",
      }),
    );
  }
  return errors;
}

/** `1 of 2 copies is`, `2 of 2 copies are`. */
function share(some: readonly string[], all: readonly VerifyResult[]): string {
  return `${some.length} of ${counted(all.length, "copy", "copies")} ${
    some.length === 1 ? "is" : "are"
  }`;
}

function codesOf({ status }: VerifyResult): ErrorCode[] {
  if (status === "damaged") return ["verification/damaged"];
  if (status === "flawed") return ["verification/flawed"];
  return status === "unchecked" ? ["storage/unreadable"] : [];
}

const words = { good: "good", flawed: "FLAWED", damaged: "DAMAGED", unchecked: "unchecked" };
const colours = { good: "green", flawed: "yellow", damaged: "red", unchecked: "yellow" } as const;

function describe(result: VerifyResult, session: Session): string {
  const word = words[result.status];
  const checks = result.checks.length === 0 ? "nothing" : result.checks.join(", ");
  const head = `${session.paint(colours[result.status], word.padEnd(9))}  ${result.id}  ` +
    `${result.job} at ${result.destination}: ${checks}`;
  return [
    head,
    ...result.problems.map(({ code, message }) => `  ${message} (${code})`),
    ...result.notes.map((note) => `  note: ${note}`),
  ].join("\n");
}

function summary(results: readonly VerifyResult[]): string {
  const count = (status: VerifyResult["status"]) =>
    results.filter((result) => result.status === status).length;
  const parts = [`${count("good")} good`, `${count("damaged")} damaged`];
  if (count("flawed") > 0) parts.push(`${count("flawed")} flawed`);
  if (count("unchecked") > 0) parts.push(`${count("unchecked")} unchecked`);
  return results.length === 0 ? "No backups." : parts.join(", ");
}

function resultJson(result: VerifyResult): unknown {
  const { mark } = result;
  return {
    id: result.id,
    job: result.job,
    destination: result.destination,
    status: result.status,
    checks: result.checks,
    problems: result.problems,
    notes: result.notes,
    mark: mark === undefined
      ? null
      : mark.type === "hold"
      ? { type: mark.type }
      : { type: mark.type, at: mark.at.toISOString() },
  };
}
