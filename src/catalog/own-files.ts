import { manifestName } from "../contracts/manifest.ts";
import { parseMarkName } from "./mark-names.ts";
import { restoreTextName } from "./restore-text.ts";
import { parseSealName } from "./seal.ts";

/** `dump-001-shop.pgdump.zst`, `accounts-002.sql.gz`, `inventory.json.gz`, each perhaps with `.v002`. */
const artifactPattern =
  /^(?:inventory|[a-z]+(?:-[a-z]+)*-\d{3,}(?:-[a-z0-9-]+)?)(?:\.[a-z0-9]+)+(?:\.v\d{3,})?$/;

/** True for a file name of data: an artifact's volume or the inventory. */
export function isArtifactFile(name: string): boolean {
  return artifactPattern.test(name) && name !== manifestName;
}

/** True for a file name that dbbackup gives in a backup's folder. */
export function isOwnFile(name: string): boolean {
  return name === manifestName || name === restoreTextName || isArtifactFile(name) ||
    parseSealName(name) !== undefined || parseMarkName(name) !== undefined;
}
