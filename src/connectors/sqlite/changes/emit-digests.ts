import type { Emit } from "../../../contracts/dump.ts";
import type { Comparison } from "./compare.ts";
import { digestsFormat, digestsRole, writeDigests } from "./digests.ts";

/** Emits the digests of what a backup holds, which the next one compares with. */
export async function emitDigests(
  { salt, blockBytes, fileBytes, changedBlocks: count, stretches, digests }: Comparison,
  slug: string,
  emit: Emit,
): Promise<void> {
  await emit(
    { role: digestsRole, databases: [], format: digestsFormat.id, slug, isPublic: true },
    writeDigests({ salt, blockBytes, fileBytes, count }, stretches(), digests),
  );
}
