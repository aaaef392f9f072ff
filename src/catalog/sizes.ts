import type { Manifest } from "../contracts/manifest.ts";

/** Stored bytes of a backup's artifacts. */
export function storedBytesOf(manifest: Manifest): number {
  return manifest.artifacts.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
}
