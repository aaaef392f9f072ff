import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { GcsClient } from "./client.ts";
import { listObjects } from "./list.ts";
import { type GcsObject, retainedUntil } from "./object.ts";

/**
 * Deletes an object: every generation of it, because on a versioned bucket a plain delete would only
 * turn the newest into one that no listing shows. What soft delete keeps for its days is out of
 * reach of everybody.
 *
 * @param version only this generation
 */
export async function deleteObject(
  client: GcsClient,
  name: string,
  version: string | undefined,
  o: Abortable,
): Promise<void> {
  const found: GcsObject[] = [];
  // The end is the name that follows next, so that no other name lies between.
  const listing = { prefix: name, isWithVersions: true, between: [name, `${name}\0`] } as const;
  for await (const object of listObjects(client, listing, o)) {
    if (object.name !== name) continue;
    if (version === undefined || object.generation === version) found.push(object);
  }
  // All or none: a listed object must not turn into one that is hidden.
  for (const object of found) {
    const until = retainedUntil(object);
    if (until !== undefined && until > client.now()) {
      throw retained(client.show(name), until);
    }
  }
  for (const { generation } of found) {
    await client.call({
      method: "DELETE",
      url: `${client.objectPath(name)}?${new URLSearchParams({ generation })}`,
      doing: { verb: "delete", what: client.show(name) },
      // A first try whose answer was lost may have done it.
      accept: [404],
    }, o);
  }
}

function retained(what: string, until: Date): BackupError {
  return new BackupError(
    "storage/retained",
    `Cannot delete "${what}": it is retained until ${until.toISOString()}`,
    {
      hint: "The bucket keeps this object until its retention ends or its hold is lifted.",
      details: { retainedUntil: until.toISOString() },
    },
  );
}
