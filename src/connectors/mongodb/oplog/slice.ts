import type { RestorableArtifact } from "../../../contracts/restore.ts";
import type { Abortable } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import type { OplogEntry } from "./entry.ts";
import { documentSplitter, entryOf } from "./format.ts";
import { compareTimes, type OplogPosition, oplogPosition } from "./position.ts";

/**
 * The entries of a piece of the oplog after the one that it joins at: makes sure that it begins and
 * ends where it says.
 *
 * @throws BackupError `verification/gap`, and those of reading it
 */
export async function* sliceEntries(
  artifact: RestorableArtifact,
  o: Abortable,
): AsyncGenerator<OplogEntry> {
  const name = artifact.volumes[0]!.name;
  const [from, to] = [oplogPosition(artifact.from), oplogPosition(artifact.to)];
  let last: OplogEntry["time"] | undefined;
  for await (const document of documentsOf(artifact, o)) {
    const entry = entryOf(document);
    if (last === undefined) assertAt(name, "begins", entry.time, from);
    else yield entry;
    last = entry.time;
  }
  assertAt(name, "ends", last, to);
}

async function* documentsOf(artifact: RestorableArtifact, o: Abortable) {
  const splitter = documentSplitter();
  for await (const chunk of artifact.open(o)) yield* splitter.push(chunk);
  splitter.end();
}

function assertAt(
  name: string,
  what: "begins" | "ends",
  is: OplogEntry["time"] | undefined,
  said: OplogPosition | undefined,
): void {
  if (is !== undefined && said !== undefined && isSame(is, said)) return;
  const text = (one: { t: number; i: number } | undefined) =>
    one === undefined ? "nowhere" : `at ${one.t}:${one.i}`;
  throw new BackupError(
    "verification/gap",
    `"${name}" ${what} ${text(is)}, and not ${text(said)} as the manifest says`,
    { hint: "Restore to a moment before it, or look for the right copy at another destination." },
  );
}

/** Whether an entry is the one that a position stands at: a rolled-back one may have its time alone. */
export function isSame(
  entry: { readonly t: number; readonly i: number; readonly term?: number | undefined },
  position: { readonly t: number; readonly i: number; readonly term?: number | undefined },
): boolean {
  const [term, other] = [entry.term ?? 0, position.term ?? 0];
  return compareTimes(entry, position) === 0 && (term === other || term === 0 || other === 0);
}
