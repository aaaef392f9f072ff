import type { Abortable, Bytes } from "../core/bytes.ts";
import type { Runtime } from "../core/runtime.ts";
import type { DatabaseInventory } from "./inventory.ts";

/** The format of an artifact's raw bytes, such as PostgreSQL's custom archive. */
export interface ArtifactFormat {
  /** Goes into the manifest: `pgdump`. */
  readonly id: string;
  /** The file name's ending, without a dot: `pgdump`. */
  readonly suffix: string;
  /** Starts a walk over one artifact of this format. */
  walk(): Walker;
  /**
   * Lets the engine's own tool, where it has one that truly reads, go over the raw bytes: the part
   * of `verify --deep` beyond the walker.
   *
   * @throws BackupError `verification/native-check`; `dump/tool-missing` when the tool is not here
   */
  nativeCheck?(bytes: Bytes, o: Abortable & { runtime: Runtime }): Promise<void>;
}

/**
 * Follows the structure of a dump as its bytes pass, and counts what they hold. The same walker runs
 * on backup, on restore and in `verify --deep`. It must be cheap and hold little memory.
 */
export interface Walker {
  /**
   * Takes the next bytes; chunks cut the structure anywhere, and are not kept.
   *
   * @throws BackupError `verification/structure` at the first byte that cannot belong there
   */
  push(chunk: Uint8Array): void;
  /**
   * Says that the bytes are over.
   *
   * @returns what they held; empty for formats that hold no objects (accounts).
   * @throws BackupError `verification/truncated` unless the structure was seen to its very end
   */
  end(): ArtifactContents;
}

/** What a walker saw. */
export interface ArtifactContents {
  /** The objects in the bytes, by database; a format that does not name its database uses "". */
  readonly databases: readonly DatabaseInventory[];
}
