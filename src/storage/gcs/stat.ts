import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { GcsClient } from "./client.ts";
import { isBucketMissing, readJson } from "./errors.ts";
import { type GcsObject, gcsObject, objectFields } from "./object.ts";

/** The object's resource; undefined when there is none. */
export async function findObject(
  client: GcsClient,
  name: string,
  o: Abortable,
): Promise<GcsObject | undefined> {
  const doing = { verb: "look at", what: client.show(name) };
  const request = {
    method: "GET",
    url: `${client.objectPath(name)}?${new URLSearchParams({ fields: objectFields })}`,
    doing,
    accept: [404],
  } as const;
  const found = await client.calls.call(async (signal) => {
    const { status, text } = await client.once(request, { signal });
    return status === 404 ? { text } : { object: readJson(gcsObject, text, doing) };
  }, o);
  if (found.object !== undefined) return found.object;
  if (!isBucketMissing(found.text)) return undefined;
  throw new BackupError(
    "storage/not-found",
    `Cannot ${doing.verb} "${doing.what}": no such bucket`,
  );
}
