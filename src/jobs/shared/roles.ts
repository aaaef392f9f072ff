import type { ConnectorKind } from "../../contracts/connector.ts";
import type { Artifact, Manifest } from "../../contracts/manifest.ts";

/** Whether a restore reads an artifact for what it brings back. */
export function isRestored({ role }: Pick<Artifact, "role">): boolean {
  return role !== "inventory" && role !== "digests";
}

const defaultRoles: readonly string[] = ["dump", "accounts"];

/** The first artifact whose role this kind of database does not know here: a newer version's. */
export function unknownRole(
  { artifacts }: Manifest,
  { roles = defaultRoles }: Pick<ConnectorKind, "roles">,
): Artifact | undefined {
  return artifacts.find(({ role }) => role !== "inventory" && !roles.includes(role));
}
