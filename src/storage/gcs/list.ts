import type { Abortable } from "../../core/bytes.ts";
import type { GcsClient } from "./client.ts";
import { readJson } from "./errors.ts";
import { type GcsObject, gcsPage, objectFields } from "./object.ts";

/** Which objects to list. */
export interface Listing {
  readonly prefix: string;
  /** Also those that newer ones have replaced, or that were deleted, on versioned buckets. */
  readonly isWithVersions?: boolean;
  /** Only names from this one on, up to but without that one. */
  readonly between?: readonly [string, string];
}

/** Lists objects page by page. */
export async function* listObjects(
  client: GcsClient,
  { prefix, isWithVersions = false, between }: Listing,
  o: Abortable,
): AsyncGenerator<GcsObject> {
  let pageToken: string | undefined;
  do {
    const query = new URLSearchParams({
      prefix,
      maxResults: "1000",
      fields: `nextPageToken,items(${objectFields})`,
      ...(isWithVersions ? { versions: "true" } : {}),
      ...(between === undefined ? {} : { startOffset: between[0], endOffset: between[1] }),
      ...(pageToken === undefined ? {} : { pageToken }),
    });
    const doing = { verb: "list", what: client.show(prefix) };
    const url = `${client.bucketPath}/o?${query}`;
    const page = await client.calls.call(async (signal) => {
      const { text } = await client.once({ method: "GET", url, doing }, { signal });
      return readJson(gcsPage, text, doing);
    }, o);
    yield* page.items;
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
}
