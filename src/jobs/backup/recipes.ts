import { folderOf } from "../../catalog/manifest.ts";
import { findCodec } from "../../codecs/mod.ts";
import type { ConnectorKind } from "../../contracts/connector.ts";
import type { Artifact, Manifest } from "../../contracts/manifest.ts";
import type { RecipeStep } from "../../contracts/recipe.ts";
import { shellQuote } from "../../core/text.ts";

/**
 * The steps that restore a chain without dbbackup, for the RESTORE.txt of its last backup.
 *
 * @param chain the full backup first
 */
export function recipeOf(chain: readonly Manifest[], kind: ConnectorKind): RecipeStep[] {
  const last = chain.at(-1)!;
  return kind.recipe(chain.map((manifest) => {
    const folder = manifest === last ? "" : `../${folderOf(manifest).split("/")[1]!}/`;
    const artifacts = manifest.artifacts.filter(({ role }) => role !== "inventory");
    return {
      manifest,
      artifacts: artifacts.map((artifact) => ({
        artifact,
        rawBytesCommand: rawCommand(artifact, folder),
      })),
    };
  }));
}

function rawCommand({ volumes, codecs }: Artifact, folder: string): string {
  const read = `cat ${volumes.map(({ name }) => shellQuote(folder + name)).join(" ")}`;
  const decoders = codecs.map(({ id, parameters }) => findCodec(id).decodeCommand(parameters ?? {}))
    .reverse();
  return [read, ...decoders].join(" | ");
}
