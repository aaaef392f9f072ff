import { z } from "zod";
import { textSchema } from "../../contracts/connection.ts";
import { prefixSchema, timeoutSchema } from "../options.ts";
import { retentionSchema } from "../retention.ts";

/** Options of an Azure Blob Storage destination, by the names that Azure's own client has. */
export const azureOptions = z.strictObject({
  container: textSchema,
  prefix: prefixSchema,
  connectionString: textSchema.optional().describe(
    "Names the account and its key, or a shared access signature, in one.",
  ),
  accountName: textSchema.optional().describe("Needed without connectionString."),
  accountKey: textSchema.optional().describe(
    "Without this, `sasToken` and `connectionString`: AZURE_STORAGE_KEY, else who runs us.",
  ),
  sasToken: textSchema.optional().describe('A shared access signature: the part behind the "?".'),
  managedIdentityClientId: textSchema.optional().describe(
    "Which of several managed identities of this machine to use.",
  ),
  endpoint: textSchema.optional().describe(
    "Where the account is; default `https://ACCOUNT.blob.core.windows.net`.",
  ),
  retention: retentionSchema.optional().describe(
    "Keeps the store from deleting any object for this many days; the container must have " +
      'version-level immutability. An "Unlocked" one can be lifted by somebody with the ' +
      'right to, a "Locked" one by nobody.',
  ),
  timeout: timeoutSchema,
}).refine(({ connectionString, accountName }) => (connectionString ?? accountName) !== undefined, {
  error: "expected accountName or connectionString",
}).refine(
  ({ connectionString, accountKey, sasToken }) =>
    [connectionString, accountKey, sasToken].filter((one) => one !== undefined).length <= 1,
  {
    error: "expected one of connectionString, accountKey and sasToken",
  },
);
/** See {@link azureOptions}. */
export type AzureOptions = z.infer<typeof azureOptions>;
