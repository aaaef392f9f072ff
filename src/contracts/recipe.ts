import type { Artifact, Manifest } from "./manifest.ts";

/** What RESTORE.txt needs to know about one artifact to print its commands. */
export interface RecipeArtifact {
  readonly artifact: Artifact;
  /**
   * A shell pipeline that prints the artifact's raw bytes, run inside the folder of the backup that
   * is restored, whichever backup of the chain the artifact is of:
   * `cat ../20261123T030000Z_full_k3v9x2ma_s41f0c2/dump-001-shop.pgdump.gz | gzip -dc`.
   */
  readonly rawBytesCommand: string;
}

/** One backup of a chain, for its recipe. */
export interface RecipeBackup {
  readonly manifest: Manifest;
  /** In the order of restoring, without the inventory. */
  readonly artifacts: readonly RecipeArtifact[];
}

/** A full backup and what builds on it, oldest first; the one that RESTORE.txt is of is the last. */
export type RecipeChain = readonly RecipeBackup[];

/** One step of a recipe, a numbered section of RESTORE.txt. */
export interface RecipeStep {
  /** What it does, as in `Restore the dump of "shop"`; absent: restoring its one artifact. */
  readonly title?: string;
  /** What it reads; their sizes, and how each is printed, are said before the commands. */
  readonly reads: readonly RecipeArtifact[];
  /** The standard commands, one a line, `#` for remarks; run by `sh` in the last backup's folder. */
  readonly commands: readonly string[];
}

/** What a recipe for a single artifact is made from. */
export interface RecipeInput extends RecipeArtifact {
  readonly manifest: Manifest;
}

/**
 * The recipe of a kind whose backups are restored artifact by artifact, with a step for each, the
 * oldest backup's first.
 */
export function stepByStep(
  chain: RecipeChain,
  commands: (input: RecipeInput) => string[],
): RecipeStep[] {
  return chain.flatMap(({ manifest, artifacts }) =>
    artifacts.map((one) => ({ reads: [one], commands: commands({ ...one, manifest }) }))
  );
}
