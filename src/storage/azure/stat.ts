import type { BlobGetPropertiesResponse } from "@azure/storage-blob";
import type { Abortable } from "../../core/bytes.ts";
import type { AzureClient } from "./client.ts";
import { fromStore, isMissing } from "./errors.ts";

/** A blob's properties; undefined when there is none. */
export async function findBlob(
  client: AzureClient,
  name: string,
  o: Abortable,
): Promise<BlobGetPropertiesResponse | undefined> {
  const doing = { verb: "look at", what: client.show(name) };
  return await client.call(doing, async (abortSignal) => {
    try {
      return fromStore(await client.blob(name).getProperties({ abortSignal }));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }, o);
}
