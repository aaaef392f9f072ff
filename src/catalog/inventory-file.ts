import { Buffer } from "node:buffer";
import { z } from "zod";
import type { Decoder } from "../contracts/codec.ts";
import type { ArtifactFormat } from "../contracts/format.ts";
import type { Inventory } from "../contracts/inventory.ts";
import type { Manifest } from "../contracts/manifest.ts";
import type { Storage } from "../contracts/storage.ts";
import { type Abortable, type Bytes, bytesOf, collect } from "../core/bytes.ts";
import { BackupError } from "../core/errors.ts";
import { canonicalJson } from "../core/json.ts";
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

/**
 * The inventory as raw bytes of an artifact, with a record of what the manifest says, so that one
 * which was rewritten as a whole, seal and all, does not go unseen.
 */
export function inventoryBytes({ databases }: Inventory, manifest: Manifest): Bytes {
  return bytesOf(`${JSON.stringify({ databases, backup: recordOf(manifest) }, null, 1)}\n`);
}

/**
 * Compares a manifest with the record of it in the inventory.
 *
 * @throws BackupError `verification/inventory` that names the field that differs; those of
 * {@link openArtifact}
 */
export async function assertRecorded(
  storage: Storage,
  prefix: string,
  manifest: Manifest,
  o: Abortable & { readonly decoder: Decoder },
): Promise<void> {
  const { backup: record, databases } = await readInventory(storage, prefix, manifest, o);
  const named = manifest.artifacts.find(({ role }) => role === "inventory")!.databases;
  if (canonicalJson(databases.map(({ database }) => database)) !== canonicalJson(named)) {
    throw unreadable("it is of other databases than the manifest says");
  }
  if (record === undefined) throw unreadable("it does not say which backup it is of");
  const now: Record<string, unknown> = recordOf(manifest);
  const names = new Set([...Object.keys(now), ...Object.keys(record)]);
  const different = [...names].filter((name) =>
    canonicalJson(now[name]) !== canonicalJson(record[name])
  );
  if (different.length === 0) return;
  const fields = different.map((name) => `"${name}"`).join(", ");
  throw new BackupError(
    "verification/inventory",
    `The manifest is not the one that was written with this backup: ${fields} ` +
      `${different.length === 1 ? "differs" : "differ"} from what the inventory recorded`,
    { hint: "Somebody changed the manifest. Use another copy or backup." },
  );
}

/** What is known before the inventory is written. */
function recordOf({ restoreText: _, artifacts, ...manifest }: Manifest) {
  return { ...manifest, artifacts: artifacts.filter(({ role }) => role !== "inventory") };
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
): Promise<Inventory & { readonly backup?: Readonly<Record<string, unknown>> }> {
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
  bytes: z.number().int().nonnegative().optional(),
  expires: z.boolean().optional(),
  owner: z.string().optional(),
  namesDatabase: z.boolean().optional(),
  needs: z.array(z.string()).optional(),
});

const inventorySchema = z.looseObject({
  databases: z.array(z.looseObject({ database: z.string(), objects: z.array(objectSchema) })),
  backup: z.record(z.string(), z.unknown()).optional(),
});

function parseInventory(bytes: Uint8Array): z.infer<typeof inventorySchema> {
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
