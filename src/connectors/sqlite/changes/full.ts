import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DumpResult, Emit } from "../../../contracts/dump.ts";
import { plainName } from "../options.ts";
import { formatId } from "../walker.ts";
import { blockBytesOf } from "./blocks.ts";
import type { Comparison, KnownDigests } from "./compare.ts";
import { saltBytes } from "./digests.ts";
import { emitDigests } from "./emit-digests.ts";
import { type Generation, positionOf } from "./position.ts";
import { type DumpOptions, fileBytes, type Work } from "./work.ts";

/** What a full backup is compared with: nothing, so that all of it is new. */
export async function noDigests(
  { pageBytes }: Generation,
  folder: string,
  o: DumpOptions,
): Promise<KnownDigests> {
  const path = join(folder, "known");
  await writeFile(path, "", { flag: "wx", mode: 0o600 });
  return { path, salt: o.runtime.random(saltBytes), blockBytes: blockBytesOf(pageBytes) };
}

/**
 * Emits the whole copy, and the digests of its blocks where others are to build on it.
 *
 * @param comparing with nothing; undefined where nothing is to build on it
 */
export async function emitFull(
  comparing: Promise<Comparison> | undefined,
  { copy, generation, name }: Work,
  emit: Emit,
  o: DumpOptions,
): Promise<Pick<DumpResult, "to">> {
  const slug = plainName(name);
  await emit({ role: "dump", databases: [name], format: formatId, slug }, fileBytes(copy, o));
  const { changeCounter, schemaCookie } = generation;
  if (comparing === undefined) return { to: { type: "sqlite", changeCounter, schemaCookie } };
  const compared = await comparing;
  await emitDigests(compared, slug, emit);
  return { to: positionOf(generation, compared) };
}
