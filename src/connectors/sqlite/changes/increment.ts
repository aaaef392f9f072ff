import { Buffer } from "node:buffer";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { DumpPlan, DumpResult, Emit } from "../../../contracts/dump.ts";
import type { OpenableBackup } from "../../../contracts/restore.ts";
import { BackupError, hasCode } from "../../../core/errors.ts";
import { plainName } from "../options.ts";
import type { Comparison, KnownDigests } from "./compare.ts";
import { applyDigests, digestsFormat, type DigestsHead, digestsRole } from "./digests.ts";
import { emitDigests } from "./emit-digests.ts";
import {
  type BasePosition,
  basePositionSchema,
  type Generation,
  isRebuilt,
  positionOf,
} from "./position.ts";
import { runsFormat, writeRuns } from "./runs.ts";
import type { DumpOptions, Work } from "./work.ts";

/**
 * Puts the lists of digests of a chain together.
 *
 * @throws BackupError `dump/cannot-continue` where one of them cannot be read
 */
export async function readDigests(
  { chain = [] }: DumpPlan,
  folder: string,
  o: DumpOptions,
): Promise<KnownDigests> {
  const path = join(folder, "known");
  const list = await open(path, "wx+", 0o600);
  let head: DigestsHead | undefined;
  try {
    for (const backup of chain) {
      const next = await readOne(backup, list, o);
      if (head !== undefined && !isOfOne(head, next)) {
        throw cannot(`the block digests of ${backup.manifest.id} are of another chain`);
      }
      head = next;
    }
  } finally {
    await list.close();
  }
  if (head === undefined) throw cannot("it is not known what it would build on");
  const { data: then } = basePositionSchema.safeParse(chain.at(-1)!.manifest.position.to);
  const { salt, blockBytes, fileBytes } = head;
  if (then?.bytes === fileBytes && then.blockBytes === blockBytes) {
    return { path, salt, blockBytes };
  }
  throw cannot(`the block digests of ${chain.at(-1)!.manifest.id} are of another file`);
}

function isOfOne(one: DigestsHead, other: DigestsHead): boolean {
  return one.blockBytes === other.blockBytes && Buffer.from(one.salt).equals(other.salt);
}

async function readOne(
  { manifest: { id }, artifacts }: OpenableBackup,
  list: Parameters<typeof applyDigests>[1],
  o: DumpOptions,
): Promise<DigestsHead> {
  const artifact = artifacts.find(({ role, format }) =>
    role === digestsRole && format === digestsFormat.id
  );
  if (artifact === undefined) throw cannot(`${id} was taken without the digests of its blocks`);
  try {
    return await applyDigests(artifact.open(o), list);
  } catch (error) {
    o.signal.throwIfAborted();
    if (!hasCode(error, "verification/") && !hasCode(error, "storage/")) throw error;
    throw cannot(`the block digests of ${id} cannot be read: ${error.message}`, error);
  }
}

/**
 * Emits the blocks that differ from what is known, and their digests.
 *
 * @throws BackupError `dump/cannot-continue` where that would be nearly all
 */
export async function emitIncrement(
  { parent }: DumpPlan,
  compared: Comparison,
  { copy, generation, name }: Work,
  emit: Emit,
): Promise<Pick<DumpResult, "from" | "to">> {
  const { id, position } = parent!.manifest;
  assertWorthwhile(id, basePositionSchema.parse(position.to), generation, compared);
  const [from, to] = [position.to!, positionOf(generation, compared)];
  const slug = plainName(name);
  const span = () => ({ from, to });
  const file = await open(copy, "r");
  try {
    const head = { role: "log", databases: [name], format: runsFormat.id, slug, span };
    await emit(head, writeRuns(compared.runs(), file));
  } finally {
    await file.close();
  }
  await emitDigests(compared, slug, emit);
  return { from, to };
}

/** From this length on, an increment that saves nothing gives way to a full backup. */
const smallBytes = 4 * 1024 * 1024;

/**
 * An increment of nearly everything costs what a full backup does, and makes the chain longer.
 *
 * @throws BackupError `dump/cannot-continue`
 */
function assertWorthwhile(
  id: string,
  from: BasePosition,
  generation: Generation,
  { fileBytes, changedBytes }: Comparison,
): void {
  const share = changedBytes / Math.max(1, fileBytes);
  const percent = `${Math.floor(share * 100)} % of the file`;
  if (share >= 0.5 && isRebuilt(from, generation)) {
    throw cannot(
      `the file was vacuumed, or replaced, since ${id}: its schema was written anew and ${percent} ` +
        "differs",
    );
  }
  if (share >= 0.9 && fileBytes >= smallBytes) {
    throw cannot(`${percent} differs from ${id}, so that an increment would save nothing`);
  }
}

function cannot(reason: string, cause?: unknown): BackupError {
  return new BackupError("dump/cannot-continue", reason, { cause });
}
