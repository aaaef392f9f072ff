import type { DestinationDefinition } from "../../config/model.ts";
import { readInventory } from "../../catalog/inventory-file.ts";
import { decoderWith } from "../../codecs/mod.ts";
import type { Inventory } from "../../contracts/inventory.ts";
import type { JobContext } from "../shared/context.ts";
import { readCopies } from "../shared/read-copies.ts";

/**
 * The inventory of one backup, from the first destination that has it whole.
 *
 * @throws BackupError `config/identity`, `config/passphrase` where it is encrypted and no key fits;
 * `verification/inventory` and those of {@link readCopies}
 */
export const showInventory = (
  definitions: readonly DestinationDefinition[],
  id: string,
  o: JobContext,
): Promise<Inventory> =>
  readCopies(definitions, id, o, async ({ storage, ref, manifest }) => {
    const decoder = decoderWith(o.keyring);
    return await readInventory(storage, ref.prefix, manifest, { ...o, decoder });
  });
