import type { DestinationDefinition } from "../../config/model.ts";
import { BackupError } from "../../core/errors.ts";
import { formatBytes, suggestion } from "../../core/text.ts";
import { copyBackups } from "../../jobs/copy.ts";
import type { CopyResult } from "../../jobs/types.ts";
import { schemeOf } from "../../registry.ts";
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
import { adHocDestinations } from "../given.ts";
import type { Session } from "../session.ts";

/** `copy [JOB|ID…] --from A --to B`. */
export const copy = defineCommand({
  path: ["copy"],
  brief: "Bring a destination up to date.",
  description:
    "Copies what a destination lacks, every byte checked against the manifest, and with a backup " +
    "what it builds on. It heals partial runs and damaged copies, and goes on where it was cut " +
    "short. Destinations are names of the config, paths or URLs; without --from it reads from all " +
    "others of the config.",
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
    }),
    commonFlags,
  ),
  async run({ what, from, to: toText }, session) {
    if (toText === undefined) {
      throw new BackupError("usage/missing-destination", "copy needs a --to", {
        hint: "Name the destination to bring up to date: --to offsite.",
      });
    }
    const to = await destination(toText, session);
    const named: DestinationDefinition[] = [];
    for (const text of from) named.push(await destination(text, session));
    const sources = await withOthers(named, to, [...from, toText], session);
    if (sources.length === 0) {
      throw new BackupError("usage/missing-source", "There is no other destination to read from", {
        hint: "Name one with --from.",
      });
    }
    const request = { sources, to, wanted: what };
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

/** A path or URL needs no config; a plain word is a name of it. */
async function destination(text: string, session: Session): Promise<DestinationDefinition> {
  if (isPlace(text)) return (await adHocDestinations([text], session))[0]!;
  const { destinations } = await session.config();
  const found = destinations.get(text);
  if (found !== undefined) return found;
  throw new BackupError(
    "usage/unknown-destination",
    `There is no destination "${text}" in the config`,
    { hint: `${suggestion(text, [...destinations.keys()])} A path begins with ./ or /.` },
  );
}

function isPlace(text: string): boolean {
  return /[/\\]|^\.|^~/.test(text) || schemeOf(text) !== undefined;
}

/**
 * The sources that are named, then the others of the config: where the first is damaged, another
 * may not be.
 */
async function withOthers(
  named: readonly DestinationDefinition[],
  to: DestinationDefinition,
  texts: readonly string[],
  session: Session,
): Promise<DestinationDefinition[]> {
  if (named.length > 0 && texts.every(isPlace)) return [...named];
  const { destinations } = await session.config();
  const others = [...destinations.values()].filter((one) => one !== to && !named.includes(one));
  return [...named, ...others];
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
