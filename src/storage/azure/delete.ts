import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { AzureClient } from "./client.ts";
import { fromStore, isMissing } from "./errors.ts";
import { listBlobs } from "./list.ts";
import { retainedUntil } from "./object.ts";

/**
 * Deletes a blob with its snapshots and, in an account that keeps versions, its versions: a plain
 * delete would only turn the newest into one more of them. What soft delete keeps for its days is
 * out of reach of everybody.
 *
 * @param version only this one
 */
export async function deleteBlob(
  client: AzureClient,
  name: string,
  version: string | undefined,
  o: Abortable,
): Promise<void> {
  const doing = { verb: "delete", what: client.show(name) };
  const blob = client.blob(name);
  const call = <T extends { readonly requestId?: string }>(
    request: (abortSignal: AbortSignal) => Promise<T>,
  ) =>
    // A first try whose answer was lost may have done it.
    client.call(
      doing,
      (abortSignal) => missingIsFine(request(abortSignal).then(fromStore)),
      o,
    );

  const facts = await call((abortSignal) => blob.getProperties({ abortSignal }));
  // The newest version cannot be deleted by its id while it is the blob itself:
  // OperationNotAllowedOnRootBlob. After a delete of the blob it can.
  if (version !== undefined && facts?.versionId !== version) {
    await call((abortSignal) => blob.withVersion(version).delete({ abortSignal }));
    return;
  }
  const until = facts === undefined ? undefined : retainedUntil(facts);
  if (until !== undefined && until > client.now()) {
    throw retained(client.show(name), until);
  }
  if (facts !== undefined) {
    await call((abortSignal) => blob.delete({ abortSignal, deleteSnapshots: "include" }));
    if (facts.versionId === undefined) return;
  }
  if (version !== undefined) {
    await call((abortSignal) => blob.withVersion(version).delete({ abortSignal }));
    return;
  }
  // The newest has become one of the versions. They may also be left from a delete cut short.
  for await (const item of listBlobs(client, { prefix: name, includeVersions: true }, o)) {
    const { versionId } = item;
    if (item.name !== name || versionId === undefined) continue;
    await call((abortSignal) => blob.withVersion(versionId).delete({ abortSignal }));
  }
}

async function missingIsFine<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function retained(what: string, until: Date): BackupError {
  return new BackupError(
    "storage/retained",
    `Cannot delete "${what}": it is retained until ${until.toISOString()}`,
    {
      hint: "The container keeps this blob until its retention ends or its legal hold is lifted.",
      details: { retainedUntil: until.toISOString() },
    },
  );
}
