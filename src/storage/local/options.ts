import { z } from "zod";
import { textSchema } from "../../contracts/connection.ts";

/** Options of a local destination. */
export const localOptions = z.strictObject({
  // A mistyped path, or a disk that is not mounted, must not quietly fill another disk.
  path: textSchema.describe(
    "The folder; a relative path starts from the config's folder. It is made with the first " +
      "backup, but its parent must be there.",
  ),
});
/** See {@link localOptions}. */
export type LocalOptions = z.infer<typeof localOptions>;
