import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Config, DestinationDefinition } from "../../config/model.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { formatBytes, suggestion } from "../../core/text.ts";
import { copyBackups } from "../../jobs/copy/copy.ts";
import type { CopyResult } from "../../jobs/copy/types.ts";
import {
  commonFlags,
  defineCommand,
  listOption,
  merge,
  object,
  restArguments,
  textOption,
} from "../command.ts";
import { errorJson } from "../errors.ts";
import { adHocDestinations, isBareWord } from "../given.ts";
import { uploadLimitOption, withGivenLimit } from "../upload-limit.ts";
import type { Session } from "../session.ts";

/** `copy [JOB|ID…] --from A --to B`. */
export const copy = defineCommand({
  path: ["copy"],
  brief: "Bring a destination up to date.",
  description:
    "Copies what a destination lacks, every byte checked against the manifest, and with a backup " +
    "what it builds on. It heals partial runs and damaged copies, and goes on where it was cut " +
    "short. Destinations are names of the config, paths or URLs. With --from, only what is there is " +
    "copied; without it, what any other destination of the config has.",
  examples: [
    "dbbackup copy --from disk --to offsite",
    "dbbackup copy shop --to offsite",
    "dbbackup copy k3v9x2ma --from ./backups --to /mnt/usb/backups",
  ],
  parser: merge(
    object({
      what: restArguments("JOB|ID", "Jobs, or ids of backups. Default: everything."),
      from: listOption(
        "--from",
        "DEST",
        "Where to read, in this order; several times for several.",
      ),
      to: textOption("--to", "DEST", "What is brought up to date."),
      uploadLimit: uploadLimitOption(),
    }),
    commonFlags,
  ),
  async run({ what, from, to: toText, uploadLimit }, session) {
    if (toText === undefined) {
      throw new BackupError("usage/missing-destination", "copy needs a --to", {
        hint: "Name the destination to bring up to date: --to offsite.",
      });
    }
    const to = withGivenLimit(await destination(toText, session), uploadLimit);
    const named: DestinationDefinition[] = [];
    for (const text of from) named.push(await destination(text, session));
    const others = await othersOf([to, ...named], session);
    const sources = named.length === 0 ? others : named;
    if (sources.length === 0) {
      throw new BackupError("usage/missing-source", "There is no other destination to read from", {
        hint: "Name one with --from.",
      });
    }
    const fallbacks = named.length === 0 ? [] : others;
    const request = { sources, fallbacks, to, wanted: what };
    const results = await copyBackups(request, {
      ...session.job("copy"),
      onResult: (result) => session.print(describe(result, session)),
    });
    session.clearProgress();
    session.print(summary(results, to.name));
    const errors = results.flatMap(({ error }) => error ?? []);
    for (const error of errors) session.complain(error);
    return {
      json: results.map(({ error, ...result }) => ({
        ...result,
        from: result.from ?? null,
        to: to.name,
        error: error === undefined ? null : errorJson(error, session.secrets),
      })),
      codes: errors.map(({ code }) => code),
    };
  },
});

/**
 * A name of the config, where there is one; else a path or URL. A plain word is the name of a folder
 * where there is no config, or there is such a folder and no such destination.
 */
async function destination(text: string, session: Session): Promise<DestinationDefinition> {
  const destinations = isBareWord(text) ? (await configOrNone(session))?.destinations : undefined;
  const declared = destinations?.get(text);
  if (declared !== undefined) return declared;
  if (destinations === undefined || await isFolder(resolve(session.host.cwd, text))) {
    return (await adHocDestinations([text], session))[0]!;
  }
  throw new BackupError(
    "usage/unknown-destination",
    `There is no destination "${text}" in the config, and no folder of that name`,
    { hint: `${suggestion(text, [...destinations.keys()])} A path begins with ./ or /.` },
  );
}

async function configOrNone(session: Session): Promise<Config | undefined> {
  try {
    return await session.config();
  } catch (error) {
    if (session.flags.config === undefined && hasCode(error, "config/not-found")) return undefined;
    throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then((info) => info.isDirectory(), () => false);
}

/**
 * The config's other destinations, where any of it is copied to or from: where the first is damaged,
 * another may not be.
 */
async function othersOf(
  given: readonly DestinationDefinition[],
  session: Session,
): Promise<DestinationDefinition[]> {
  const isAdHoc = given.every(({ argument }) => argument !== undefined);
  const config = isAdHoc && given.length > 1 ? undefined : await session.config();
  return [...config?.destinations.values() ?? []].filter((one) => !given.includes(one));
}

function describe(result: CopyResult, session: Session): string {
  const { id, job, status, from, bytes } = result;
  const colour = { present: "dim", copied: "green", healed: "green", failed: "red" } as const;
  const what = from === undefined ? "" : `: ${formatBytes(bytes)} from ${from}`;
  return `${session.paint(colour[status], status.padEnd(7))}  ${id}  ${job}${what}`;
}

function summary(results: readonly CopyResult[], to: string): string {
  if (results.length === 0) return "No backups.";
  const count = (status: CopyResult["status"]) =>
    results.filter((result) => result.status === status).length;
  const parts = (["copied", "healed", "present", "failed"] as const)
    .filter((status) => count(status) > 0).map((status) => `${count(status)} ${status}`);
  return `${to}: ${parts.join(", ")}`;
}
