import type { DestinationDefinition } from "../../config/model.ts";
import { inventoryFormat } from "../../catalog/inventory-file.ts";
import type { ConnectorKind } from "../../contracts/connector.ts";
import type { Artifact, Manifest } from "../../contracts/manifest.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { suggestion } from "../../core/text.ts";
import type { JobContext } from "../shared/context.ts";
import { readRaw } from "../shared/open-backup.ts";
import { createMeter } from "../shared/progress.ts";
import { readCopies } from "../shared/read-copies.ts";

/** What `cat` writes out. */
export interface CatRequest {
  readonly destinations: readonly DestinationDefinition[];
  /** The backup's id, shortened while unique. */
  readonly backup: string;
  /** Chooses what is written, such as by {@link pickArtifact}; undefined: nothing is. */
  pick(manifest: Manifest): Artifact | undefined;
  /** The kinds whose formats are known: a dump's structure is checked as it passes. */
  readonly kinds: readonly ConnectorKind[];
  /**
   * Takes the next bytes, and keeps none of them.
   *
   * @returns false when nobody wants more
   */
  write(chunk: Uint8Array): Promise<boolean>;
}

/** What `cat` did. */
export interface CatResult {
  readonly manifest: Manifest;
  /** What was written, if anything. */
  readonly artifact: Artifact | undefined;
}

/**
 * Writes the raw bytes of one artifact out, decrypted, decompressed and checked. Returns only after
 * every check of what was written ended well, or when nobody wanted more of it.
 *
 * @throws BackupError those of `pick` and of reading a backup; what was written before is not whole
 */
export async function catArtifact(request: CatRequest, o: JobContext): Promise<CatResult> {
  const meter = createMeter(o);
  let isBegun = false;
  const read = readCopies(request.destinations, request.backup, o, async (copy) => {
    const { manifest } = copy;
    const artifact = request.pick(manifest);
    if (artifact === undefined) return { manifest, artifact };
    const { formats = [] } = request.kinds.find(({ kind }) => kind === manifest.source.kind) ?? {};
    meter.stage(`read from ${copy.destination}`, artifact.rawBytes);
    for await (const chunk of readRaw(copy, artifact, [...formats, inventoryFormat], o)) {
      meter.raw(chunk.byteLength);
      const isWanted = await request.write(chunk);
      isBegun = true;
      if (!isWanted) break;
    }
    return { manifest, artifact };
  }, () => isBegun);
  try {
    return await read;
  } catch (error) {
    if (!isBegun || !(error instanceof BackupError) || hasCode(error, "usage/")) throw error;
    const { code, message, hint, details } = error;
    throw new BackupError(code, message, {
      cause: error,
      hint: `What was written is not whole: throw it away.${hint === undefined ? "" : ` ${hint}`}`,
      ...(details === undefined ? {} : { details }),
    });
  }
}

/**
 * The artifact that a word means: its number, the name of its file with or without endings, its role,
 * or the database that it is the dump of. Without a word the only dump; undefined where there are
 * several, or where nothing is a dump and there are several others.
 *
 * @throws BackupError `usage/no-such-artifact`, `usage/ambiguous-artifact`
 */
export function pickArtifact(
  { id, artifacts }: Manifest,
  word: string | undefined,
): Artifact | undefined {
  if (word === undefined) {
    const dumps = artifacts.filter(({ role }) => role === "dump");
    const own = dumps.length > 0 ? dumps : artifacts.filter(({ role }) => role !== "inventory");
    return own.length === 1 ? own[0] : undefined;
  }
  const exact = artifacts.filter((one) =>
    String(one.number) === word ||
    one.volumes.some(({ name }) => name === word || name.split(".")[0] === word)
  );
  const found = exact.length > 0
    ? exact
    : artifacts.filter(({ role, databases }) =>
      role === word || (role !== "inventory" && role !== "accounts" && databases.includes(word))
    );
  if (found.length === 1) return found[0];
  const names = artifacts.map((one) => one.volumes[0]!.name);
  if (found.length > 1) {
    const files = found.map(({ volumes }) => volumes[0]!.name);
    throw new BackupError("usage/ambiguous-artifact", `Backup ${id} has several "${word}"`, {
      hint: `Name one by its number or file: ${files.join(", ")}.`,
    });
  }
  const known = artifacts.flatMap(({ role, databases }) => [role, ...databases]);
  throw new BackupError("usage/no-such-artifact", `Backup ${id} has no artifact "${word}"`, {
    hint: suggestion(word, [...new Set([...names, ...known])]),
  });
}
