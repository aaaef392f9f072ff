import { Buffer } from "node:buffer";
import { z } from "zod";
import type { Decoder } from "../contracts/codec.ts";
import type { ArtifactFormat } from "../contracts/format.ts";
import type { Inventory } from "../contracts/inventory.ts";
import type { Manifest } from "../contracts/manifest.ts";
import type { Storage } from "../contracts/storage.ts";
import { type Abortable, type Bytes, bytesOf, collect } from "../core/bytes.ts";
import { BackupError } from "../core/errors.ts";
import { openArtifact } from "./artifact-reader.ts";

// Names and counts of a million tables; more is no inventory.
const longestInventoryBytes = 512 * 1024 * 1024;

/** The inventory's own format: JSON. */
export const inventoryFormat: ArtifactFormat = {
  id: "inventory",
  suffix: "json",
  walk() {
    const chunks: Uint8Array[] = [];
    return {
      push: (chunk) => void chunks.push(new Uint8Array(chunk)),
      end() {
        parseInventory(Buffer.concat(chunks));
        return { databases: [] };
      },
    };
  },
};

/** The inventory as raw bytes of an artifact. */
export function inventoryBytes(inventory: Inventory): Bytes {
  return bytesOf(`${JSON.stringify({ databases: inventory.databases }, null, 1)}\n`);
}

/**
 * Reads the inventory of a backup.
 *
 * @throws BackupError `verification/inventory`, and those of {@link openArtifact}
 */
export async function readInventory(
  storage: Storage,
  prefix: string,
  manifest: Manifest,
  o: Abortable & { readonly decoder: Decoder },
): Promise<Inventory> {
  const artifact = manifest.artifacts.find(({ role }) => role === "inventory");
  if (artifact === undefined) throw unreadable("the manifest names none");
  const bytes = openArtifact(storage, prefix, artifact, { decoder: o.decoder }, o);
  return parseInventory(await collect(bytes, longestInventoryBytes));
}

const objectSchema = z.looseObject({
  // Later versions may know more types; the comparison goes by the name alone.
  type: z.custom<Inventory["databases"][number]["objects"][number]["type"]>(
    (value) => typeof value === "string",
  ),
  schema: z.string().optional(),
  name: z.string(),
  count: z.number().int().nonnegative().optional(),
  isExact: z.boolean().optional(),
  expires: z.boolean().optional(),
  owner: z.string().optional(),
  namesDatabase: z.boolean().optional(),
});

const inventorySchema = z.looseObject({
  databases: z.array(z.looseObject({ database: z.string(), objects: z.array(objectSchema) })),
});

function parseInventory(bytes: Uint8Array): Inventory {
  try {
    return inventorySchema.parse(
      JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)),
    );
  } catch (cause) {
    throw unreadable("it is not an inventory", cause);
  }
}

function unreadable(why: string, cause?: unknown): BackupError {
  return new BackupError("verification/inventory", `Cannot read the backup's inventory: ${why}`, {
    cause,
    hint: "Restore from another destination or an older backup; `dbbackup list` shows them.",
  });
}
