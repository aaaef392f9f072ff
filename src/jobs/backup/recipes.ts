import { findCodec } from "../../codecs/mod.ts";
import type { ConnectorKind } from "../../contracts/connector.ts";
import type { Artifact, Manifest } from "../../contracts/manifest.ts";
import { shellQuote } from "../../core/text.ts";

/** The commands that restore one artifact without dbbackup. */
export interface Recipe {
  readonly artifact: Artifact;
  /** A pipeline that prints the raw bytes, to be run inside the backup's folder. */
  readonly rawBytesCommand: string;
  /** Lines for `sh`. */
  readonly commands: readonly string[];
}

/** The recipes of a backup's artifacts, in the order of restoring, for RESTORE.txt. */
export function recipesOf(manifest: Manifest, kind: ConnectorKind): Recipe[] {
  return manifest.artifacts.filter(({ role }) => role !== "inventory").map((artifact) => {
    const rawBytesCommand = rawCommand(artifact);
    return {
      artifact,
      rawBytesCommand,
      commands: kind.recipe({ artifact, manifest, rawBytesCommand }),
    };
  });
}

function rawCommand({ volumes, codecs }: Artifact): string {
  const read = `cat ${volumes.map(({ name }) => shellQuote(name)).join(" ")}`;
  const decoders = codecs.map(({ id, parameters }) => findCodec(id).decodeCommand(parameters ?? {}))
    .reverse();
  return [read, ...decoders].join(" | ");
}
