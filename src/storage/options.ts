import { z } from "zod";
import { textSchema } from "../contracts/connection.ts";

/** The `prefix` of stores that know no folders. */
export const prefixSchema = textSchema.optional()
  .describe('Put before every key, with a "/" between; default none.');

/** The `timeout` of stores whose own clients have one. */
export const timeoutSchema = z.number().int().positive().optional().describe(
  "Longest time in milliseconds that one request may take; default 60,000 and what its " +
    "bytes take through a line of 50 kB/s.",
);
