import { readCatalog } from "../../catalog/catalog.ts";
import { readManifest } from "../../catalog/manifest.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { BackupError, toBackupError } from "../../core/errors.ts";
import type { FailedDestination, OpenDestination } from "../shared/destinations.ts";
import type { IdentifiedSource } from "../shared/source.ts";
import type { JobContext } from "../shared/context.ts";

/** Who writes a backup, as its manifest tells. */
export type Writer = NonNullable<Manifest["writer"]>;

/** So many of the newest backups show whether machines take turns. */
const lookedAt = 8;

/** This machine as the writer of a backup of what it found at `place`. */
export function thisWriter(place: string | undefined, { runtime }: JobContext): Writer {
  const { host, id } = runtime.machine();
  return {
    host,
    ...id === undefined ? {} : { machine: id },
    ...place === undefined ? {} : { place },
  };
}

/**
 * Sets apart the destinations where another machine writes backups of the same job and source, before
 * anything is mixed: what is only declared, such as `localhost:3306`, may be said of two servers, and
 * retention would drop the backups of one for those of the other.
 *
 * Machines have ids, containers only names, and each new container has a new one. So a name that
 * comes back after another one wrote is warned of, and two names that take turns are two machines.
 * Who named the source in the config knows what writes there, and is not asked.
 */
export async function withOneWriter(
  { job, source, writer }: {
    readonly job: string;
    readonly source: IdentifiedSource;
    readonly writer: Writer;
  },
  opened: readonly OpenDestination[],
  o: JobContext,
): Promise<{ open: OpenDestination[]; refused: FailedDestination[]; warnings: string[] }> {
  if (source.by !== "declaration") return { open: [...opened], refused: [], warnings: [] };
  const open: OpenDestination[] = [];
  const refused: FailedDestination[] = [];
  const warnings: string[] = [];
  for (const destination of opened) {
    const newest = await newestWritten(destination, job, source, o);
    const other = otherWriter(newest, writer);
    if (other?.isCertain === true) {
      const error = twoWriters(job, source, writer, other.written);
      refused.push({ name: destination.name, error });
      continue;
    }
    open.push(destination);
    if (other === undefined) continue;
    const { message, hint } = twoWriters(job, source, writer, other.written);
    warnings.push(`${message}. ${hint}`);
  }
  return { open, refused, warnings: [...new Set(warnings)] };
}

interface Written {
  readonly ref: BackupRef;
  readonly writer: Writer;
}

/** Who wrote the newest backups of a job and source, newest first. */
async function newestWritten(
  { storage }: OpenDestination,
  job: string,
  source: IdentifiedSource,
  o: JobContext,
): Promise<Written[]> {
  try {
    const refs = await readCatalog(storage, { ...o, job });
    const newest = refs.filter(({ sourceTag }) => sourceTag === source.tag)
      .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime()).slice(0, lookedAt);
    const manifests = await Promise.all(newest.map((ref) => readManifest(storage, ref, o)));
    return manifests.flatMap(({ writer }, index) =>
      writer === undefined ? [] : [{ ref: newest[index]!, writer }]
    );
  } catch (error) {
    o.signal.throwIfAborted();
    // What cannot be listed or read is met, and told, where it matters.
    o.runtime.log.debug("Cannot tell who wrote the last backups of {job}: {error}", {
      job,
      error: toBackupError(error).message,
    });
    return [];
  }
}

/** @param newest newest first */
function otherWriter(
  newest: readonly Written[],
  ours: Writer,
): { written: Written; isCertain: boolean } | undefined {
  const [last] = newest;
  const relations = newest.map(({ writer }) => compare(writer, ours));
  if (last === undefined || relations[0] === "same") return undefined;
  if (relations[0] === "other") return { written: last, isCertain: true };
  const back = relations.indexOf("same");
  if (back < 0) return undefined;
  const isInTurns = newest.slice(back).some(({ writer }) =>
    compare(writer, last.writer) === "same"
  );
  return { written: last, isCertain: isInTurns };
}

function compare(a: Writer, b: Writer): "same" | "other" | "unknown" {
  const isKnown = a.machine !== undefined && b.machine !== undefined;
  if (isKnown && a.machine !== b.machine) return "other";
  if (!isKnown && a.host !== b.host) return "unknown";
  const isElsewhere = a.place !== undefined && b.place !== undefined && a.place !== b.place;
  return isElsewhere ? "other" : "same";
}

function twoWriters(
  job: string,
  { id }: IdentifiedSource,
  ours: Writer,
  { ref, writer }: Written,
): BackupError {
  const place = ({ host, place }: Writer) => place === undefined ? host : `${host}:${place}`;
  return new BackupError(
    "config/two-sources",
    `Backups of job "${job}" there are by ${place(writer)} (newest ${ref.id}, ` +
      `${ref.createdAt.toISOString().replace(/\.\d+Z$/, "Z")}), and this is ${
        place(ours)
      }: both call their database "${id}"`,
    {
      hint: `If they are two databases, give each a name: source: "NAME" in the config, or ` +
        `--source NAME. If it is one that has moved, or that both back up: source: ` +
        `${JSON.stringify(id)} goes on with its backups.`,
      details: { theirs: writer, ours, newest: ref.id },
    },
  );
}
