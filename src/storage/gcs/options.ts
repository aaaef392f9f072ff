import { z } from "zod";
import { textSchema } from "../../contracts/connection.ts";
import { prefixSchema, timeoutSchema } from "../options.ts";
import { retentionSchema } from "../retention.ts";

/** Options of a Google Cloud Storage destination, by the names that Google's own client has. */
export const gcsOptions = z.strictObject({
  bucket: textSchema,
  prefix: prefixSchema,
  keyFilename: textSchema.optional().describe(
    "The path of a service account's key file. Default: application default credentials.",
  ),
  credentials: textSchema.optional().describe("The content of such a file, as JSON."),
  apiEndpoint: textSchema.optional().describe(
    "Where the service is, for an emulator or a private endpoint. One that is not Google's " +
      "gets no credentials but those that are set here. Default " +
      "`https://storage.googleapis.com`.",
  ),
  userProject: textSchema.optional().describe(
    "The project that pays, for buckets whose requester does.",
  ),
  retention: retentionSchema.optional().describe(
    "Keeps the store from deleting any object for this many days; the bucket must have " +
      'object retention. An "Unlocked" one can be lifted by somebody with the right to, a ' +
      '"Locked" one by nobody.',
  ),
  timeout: timeoutSchema,
});
/** See {@link gcsOptions}. */
export type GcsOptions = z.infer<typeof gcsOptions>;
