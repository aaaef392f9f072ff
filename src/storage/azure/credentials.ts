import type { ContainerClient } from "@azure/storage-blob";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import { checkedBucket, checkedEndpoint, checkedKey } from "../checks.ts";

/** Which container, and by which right. */
export interface AzureAccess {
  readonly container: string;
  readonly accountName: string | undefined;
  readonly connectionString: string | undefined;
  readonly accountKey: string | undefined;
  readonly sasToken: string | undefined;
  readonly managedIdentityClientId: string | undefined;
  readonly endpoint: string | undefined;
}

/**
 * Makes the SDK's client of a container. Where nothing says by which right, the variables of Azure's
 * command line do, and else the identity of who runs us: a managed one, or `az login`.
 *
 * @throws BackupError `config/bad-credentials`
 */
export async function openContainer(
  given: AzureAccess,
  runtime: Runtime,
): Promise<ContainerClient> {
  const access = withVariables(given, runtime);
  checkAccess(access, runtime.now());
  const sdk = await import("@azure/storage-blob");
  // Trying again is done here, by the one policy that all stores have.
  const options = { retryOptions: { maxTries: 1 } };
  hideSecrets(access, runtime);
  try {
    return (await openService()).getContainerClient(access.container);
  } catch (cause) {
    if (cause instanceof BackupError) throw cause;
    throw new BackupError("config/bad-credentials", "Cannot read the credentials of Azure", {
      cause,
      hint: "Copy the connection string or the key as the portal shows it.",
    });
  }

  async function openService() {
    const { accountName = "", connectionString, accountKey, sasToken } = access;
    if (connectionString !== undefined) {
      return sdk.BlobServiceClient.fromConnectionString(connectionString, options);
    }
    const url = (access.endpoint ?? `https://${accountName}.blob.core.windows.net`)
      .replace(/\/+$/, "");
    if (sasToken !== undefined) {
      return new sdk.BlobServiceClient(
        `${url}?${sasToken.replace(/^\?/, "")}`,
        new sdk.AnonymousCredential(),
        options,
      );
    }
    if (accountKey !== undefined) {
      const credential = new sdk.StorageSharedKeyCredential(accountName, accountKey);
      return new sdk.BlobServiceClient(url, credential, options);
    }
    if (!url.startsWith("https:")) {
      throw new BackupError("config/bad-credentials", `No key is given for "${url}"`, {
        hint:
          "Give accountKey, sasToken or connectionString, or AZURE_STORAGE_KEY: an identity is " +
          "only told to stores behind https.",
      });
    }
    const { DefaultAzureCredential } = await import("@azure/identity");
    const { managedIdentityClientId } = access;
    const credential = new DefaultAzureCredential(
      managedIdentityClientId === undefined ? {} : { managedIdentityClientId },
    );
    return new sdk.BlobServiceClient(url, credential, options);
  }
}

/**
 * Tells at once what the store would only refuse.
 *
 * @throws BackupError `config/bad-credentials`, `config/bad-endpoint`, `config/bad-bucket`
 */
function checkAccess(access: AzureAccess, now: Date): void {
  const { accountName, accountKey, connectionString, sasToken, endpoint } = access;
  checkedBucket(access.container, "container");
  if (endpoint !== undefined) checkedEndpoint(endpoint, "endpoint");
  if (accountName !== undefined && !/^[a-z0-9-]+$/.test(accountName)) {
    throw new BackupError(
      "config/bad-bucket",
      `No account is called ${JSON.stringify(accountName)}`,
      { hint: "Correct accountName: 3 to 24 small letters and digits." },
    );
  }
  if (sasToken !== undefined) checkedKey(sasToken, "sasToken");
  const key = accountKey ?? /AccountKey=([^;]*)/i.exec(connectionString ?? "")?.[1];
  const option = accountKey === undefined ? "AccountKey of the connectionString" : "accountKey";
  if (key !== undefined) {
    checkedKey(key, option);
    if (!/^[a-z0-9+/]+={0,2}$/i.test(key) || key.length % 4 !== 0) {
      throw new BackupError("config/bad-credentials", `The ${option} is not base64`, {
        hint: "Copy the whole key as the portal shows it; it ends in ==.",
      });
    }
  }
  const signature = sasToken ?? /SharedAccessSignature=([^;]*)/i.exec(connectionString ?? "")?.[1];
  const until = new URLSearchParams(signature?.replace(/^\?/, "")).get("se");
  if (until !== null && Date.parse(until) < now.getTime()) {
    throw new BackupError(
      "config/bad-credentials",
      `The shared access signature expired at ${new Date(until).toISOString()}`,
      {
        hint:
          "Make a new one, with a later end. If that is not over yet, set this machine's clock.",
      },
    );
  }
}

/** The variables of `az storage`, for what the options leave open. */
function withVariables(given: AzureAccess, { env }: Runtime): AzureAccess {
  const hasOwn = given.connectionString ?? given.accountKey ?? given.sasToken;
  if (hasOwn !== undefined) return given;
  const connectionString = env["AZURE_STORAGE_CONNECTION_STRING"] || undefined;
  // One of another account says nothing about this one.
  if (/AccountName=([^;]+)/i.exec(connectionString ?? "")?.[1] === given.accountName) {
    return { ...given, connectionString };
  }
  return {
    ...given,
    accountKey: env["AZURE_STORAGE_KEY"] || undefined,
    sasToken: env["AZURE_STORAGE_SAS_TOKEN"] || undefined,
  };
}

function hideSecrets(access: AzureAccess, { secrets }: Runtime): void {
  const { connectionString, accountKey, sasToken } = access;
  const key = /AccountKey=([^;]+)/i.exec(connectionString ?? "")?.[1];
  const signature = /[?&]?sig=([^&;]+)/i.exec(sasToken ?? connectionString ?? "")?.[1];
  for (const secret of [connectionString, accountKey, sasToken, key, signature]) {
    if (secret !== undefined) secrets.hide(secret);
  }
}
