import type { RestorableArtifact } from "../../contracts/restore.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import { accountsFormat } from "./archive/walker.ts";
import type { RestoreContext } from "./context.ts";
import { assertAllRestored, feed } from "./feed.ts";

/**
 * Restores users and roles where that is asked for and the backup has them; after the data, which
 * stays where it is when they cannot be restored.
 */
export async function restoreAccounts(
  artifacts: readonly RestorableArtifact[],
  r: RestoreContext,
): Promise<void> {
  const { tool, address, client, options } = r;
  const accounts = artifacts.find(({ role }) => role === "accounts");
  if (!options.isWithAccounts || accounts?.format !== accountsFormat.id) return;
  try {
    assertAllRestored(await feed({ tool, address, alive: client.alive }, accounts.open(r), [], r));
  } catch (error) {
    if (!hasCode(error, "restore/failed")) throw error;
    throw new BackupError(
      "restore/failed",
      `The databases are restored, but users and roles are not: ${error.message}`,
      {
        cause: error,
        details: { ...error.details },
        hint:
          "The target may keep no users and roles of its own, or refuse this user to write them.",
      },
    );
  }
}
