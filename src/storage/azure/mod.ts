import { Buffer } from "node:buffer";
import type { Storage, StorageKind } from "../../contracts/storage.ts";
import { BackupError } from "../../core/errors.ts";
import type { Patience, RetryPolicy } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import { env } from "../../core/secret.ts";
import { createCalls } from "../calls.ts";
import { createKeys } from "../keys.ts";
import { createPartBuffers } from "../part-buffers.ts";
import { retentionEnd } from "../retention.ts";
import { readUrl } from "../url.ts";
import { type AzureAccess, openContainer } from "./credentials.ts";
import { createAzureClient } from "./client.ts";
import { deleteBlob } from "./delete.ts";
import { getBlob } from "./get.ts";
import { listBlobs } from "./list.ts";
import { toInfo } from "./object.ts";
import { type AzureOptions, azureOptions } from "./options.ts";
import { putBlob } from "./put.ts";
import { findBlob } from "./stat.ts";

export { type AzureOptions, azureOptions } from "./options.ts";

// A blob has at most 50,000 blocks: 195 GiB, and a volume has 100 GiB unless told otherwise. The SDK
// copies what it sends, so that each MiB here counts several times.
const defaultPartBytes = 4 * 1024 * 1024;
const spareParts = 2;

const remarks = {
  sweep: "a list of unfinished uploads: the store drops them in a week",
};

/** Azure Blob Storage. */
export const azure: StorageKind<AzureOptions> = {
  kind: "azure",
  schemes: ["az"],
  description: "An Azure Blob Storage container.",
  examples: [
    {
      name: "azure",
      options: { accountName: "acme", container: "backups", sasToken: env("AZURE_SAS") },
    },
  ],
  options: azureOptions,
  fromUrl(url) {
    const form = "az://ACCOUNT/CONTAINER/PREFIX";
    const { host, path, parameters } = readUrl(url, {
      form,
      parameters: ["endpoint", "managedIdentityClientId"],
    });
    const [container = "", ...prefix] = path.split("/");
    if (container === "") {
      throw new BackupError("usage/bad-url", `Cannot find the container in "az://${host}"`, {
        hint: `Write ${form}.`,
      });
    }
    return {
      accountName: host,
      container,
      ...(prefix.length === 0 ? {} : { prefix: prefix.join("/") }),
      ...parameters,
    };
  },
  open: (options, { runtime, patience }) => openAzure(options, { runtime, patience }),
};

/** What tests make smaller. */
export interface AzureLimits {
  readonly retry?: RetryPolicy;
  readonly partBytes?: number;
}

/** Opens a container. */
export async function openAzure(
  options: AzureOptions,
  { runtime, patience, retry, partBytes = defaultPartBytes }:
    & { runtime: Runtime; patience?: Patience | undefined }
    & AzureLimits,
): Promise<Storage> {
  const { secrets } = runtime;
  const resolve = async (text: AzureOptions["prefix"]) =>
    text === undefined ? undefined : await secrets.resolve(text);
  const resolvePublic = async (text: AzureOptions["prefix"]) =>
    text === undefined ? undefined : await secrets.resolve(text, { isPublic: true });
  const access: AzureAccess = {
    container: await secrets.resolve(options.container, { isPublic: true }),
    accountName: await resolvePublic(options.accountName),
    connectionString: await resolve(options.connectionString),
    accountKey: await resolve(options.accountKey),
    sasToken: await resolve(options.sasToken),
    managedIdentityClientId: await resolvePublic(options.managedIdentityClientId),
    endpoint: await resolvePublic(options.endpoint),
  };
  const container = await openContainer(access, runtime);
  const keys = createKeys(await resolvePublic(options.prefix));
  const location = keys.location(`az://${container.accountName}/${container.containerName}`);
  const client = createAzureClient(container, {
    account: container.accountName,
    calls: createCalls({
      location,
      runtime,
      patience,
      policy: retry,
      timeoutMs: options.timeout,
    }),
    now: runtime.now,
  });
  const buffers = createPartBuffers(partBytes, spareParts);
  const { retention } = options;
  return {
    location,
    place: location,
    hasOwnClock: true,
    partBytes,
    remarks,
    put: async (key, body, o) =>
      await putBlob(client, keys.toName(key), key, body, {
        signal: o.signal,
        buffers,
        retainUntil: o.retainUntil === "none"
          ? undefined
          : o.retainUntil ?? retentionEnd(retention, runtime.now()),
        retentionMode: retention?.mode ?? "Unlocked",
        putId: Buffer.from(runtime.random(12)).toString("hex"),
      }),
    get: (key, o) => getBlob(client, keys.toName(key), o),
    async stat(key, o) {
      const found = await findBlob(client, keys.toName(key), o);
      return found === undefined ? undefined : toInfo(found, key, found.versionId);
    },
    async *list(prefix, o) {
      const options = { includeImmutabilityPolicy: true, includeLegalHold: true };
      for await (
        const blob of listBlobs(client, { ...options, prefix: keys.toPrefix(prefix) }, o)
      ) {
        const key = keys.toKey(blob.name);
        if (key !== undefined) yield toInfo(blob.properties, key, blob.versionId);
      }
    },
    delete: async (key, o) => await deleteBlob(client, keys.toName(key), o.version, o),
    // Blocks that were never committed show nowhere, and the store drops them after a week. To drop
    // them earlier, a blob would have to be made of them, which a retention policy may then keep.
    sweep: () => Promise.resolve(0),
    close: () => Promise.resolve(),
  };
}
