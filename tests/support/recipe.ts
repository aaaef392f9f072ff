import type { ConnectorKind } from "../../src/contracts/connector.ts";
import type { Artifact, Manifest } from "../../src/contracts/manifest.ts";

/** The commands that restore one artifact of a full backup by hand. */
export function commandsOf(
  kind: Pick<ConnectorKind, "recipe">,
  manifest: Manifest,
  artifact: Artifact,
  rawBytesCommand: string,
): readonly string[] {
  const steps = kind.recipe([{ manifest, artifacts: [{ artifact, rawBytesCommand }] }]);
  return steps.flatMap(({ commands }) => commands);
}
