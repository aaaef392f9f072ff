import { open } from "node:fs/promises";
import { join } from "node:path";
import type { DumpPlan, DumpResult, Emit } from "../../../contracts/connector.ts";
import { plainName } from "../options.ts";
import { formatId } from "../walker.ts";
import { blockBytesOf } from "./blocks.ts";
import { compareBlocks } from "./compare.ts";
import { digestsFormat, digestsRole, saltBytes, writeDigests } from "./digests.ts";
import type { BasePosition } from "./position.ts";
import { type DumpOptions, fileBytes, type Work } from "./work.ts";

/** Emits the whole copy, and the digests of its blocks where others are to build on it. */
export async function emitFull(
  { isBase = false }: DumpPlan,
  { copy, folder, generation, name }: Work,
  emit: Emit,
  o: DumpOptions,
): Promise<Pick<DumpResult, "to">> {
  const slug = plainName(name);
  await emit({ role: "dump", databases: [name], format: formatId, slug }, fileBytes(copy, o));
  const { changeCounter, schemaCookie } = generation;
  if (!isBase) return { to: { type: "sqlite", changeCounter, schemaCookie } };
  const salt = o.runtime.random(saltBytes);
  const old = await open(join(folder, "none"), "wx+", 0o600);
  const blockBytes = blockBytesOf(generation.pageBytes);
  const compared = await compareBlocks(copy, { salt, blockBytes, old, folder, signal: o.signal })
    .finally(() => old.close());
  const { fileBytes: length, changedBlocks: count, sha256 } = compared;
  await emit(
    { role: digestsRole, databases: [], format: digestsFormat.id, slug, isPublic: true },
    writeDigests(
      { salt, blockBytes, fileBytes: length, count },
      compared.stretches(),
      compared.digests,
    ),
  );
  const to: BasePosition = { type: "sqlite", ...generation, blockBytes, bytes: length, sha256 };
  return { to };
}
