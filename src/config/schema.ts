import { z } from "zod";
import { DatabaseDeclaration, DestinationDeclaration } from "../contracts/declare.ts";
import { defaultsSchema, jobSchema } from "./job.ts";
import { reference, size } from "./schema-parts.ts";

/** `log`. */
export const logSchema = z.strictObject({
  level: z.enum(["debug", "info", "warning", "error"]).optional().describe('Default "info".'),
  format: z.enum(["text", "json"]).optional().describe('Default "text".'),
  file: z.union([
    z.string().min(1),
    z.strictObject({
      path: z.string().min(1),
      maxSize: size.optional().describe('Default "10MiB".'),
      keep: z.number().int().min(1).optional().describe("How many files are kept. Default 5."),
    }),
  ], { error: "expected a path or { path, maxSize, keep }" }).optional()
    .describe("A file that is rotated. Default standard error."),
});

const database = z.instanceof(DatabaseDeclaration, { error: "expected a database" });
const destination = z.instanceof(DestinationDeclaration, { error: "expected a destination" });

/** A whole config, from TypeScript or YAML; what YAML keeps for its anchors is not in it any more. */
export const configSchema = z.strictObject({
  databases: z.record(z.string().min(1), database),
  destinations: z.record(z.string().min(1), destination),
  jobs: z.record(z.string().min(1), jobSchema),
  defaults: defaultsSchema.optional().describe("Any field of a job, for jobs that do not set it."),
  identities: z.array(reference).optional()
    .describe("Contents of age identity files, to read encrypted backups with: ${file:PATH}."),
  stateDir: z.string().min(1).optional().describe("Locks and the record of runs."),
  tempDir: z.string().min(1).optional().describe("Temporary files."),
  log: logSchema.optional(),
});
/** See {@link configSchema}. */
export type ParsedConfig = z.infer<typeof configSchema>;
