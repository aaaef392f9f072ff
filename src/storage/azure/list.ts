import type { BlobItem, ContainerListBlobsOptions } from "@azure/storage-blob";
import type { Abortable } from "../../core/bytes.ts";
import type { AzureClient } from "./client.ts";
import { fromStore } from "./errors.ts";

/** Lists blobs page by page. */
export async function* listBlobs(
  client: AzureClient,
  options: ContainerListBlobsOptions & { readonly prefix: string },
  o: Abortable,
): AsyncGenerator<BlobItem> {
  const doing = { verb: "list", what: client.show(options.prefix) };
  let continuationToken: string | undefined;
  do {
    const page = await client.call(doing, async (abortSignal) => {
      const pages = client.container.listBlobsFlat({ ...options, abortSignal })
        .byPage({ maxPageSize: 5_000, ...(continuationToken ? { continuationToken } : {}) });
      const { done, value } = await pages.next();
      return done === true ? undefined : fromStore(value);
    }, o);
    yield* page?.segment.blobItems ?? [];
    continuationToken = page?.continuationToken;
  } while (continuationToken);
}
