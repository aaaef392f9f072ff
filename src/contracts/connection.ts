import { z } from "zod";
import { Secret } from "../core/secret.ts";

/** A string outright or by reference; see {@link Secret}. */
export const textSchema = z.union([z.string().min(1), z.instanceof(Secret)], {
  error: "expected a text, env(…) or file(…)",
});

/**
 * How TLS is used, in libpq's words, which both the driver and the tool are told:
 * `disable`, `prefer` (encrypt if the server can), `require` (encrypt, check nothing), `verify-ca`
 * (check who signed), `verify-full` (check who signed and for which host).
 */
export const tlsModes = ["disable", "prefer", "require", "verify-ca", "verify-full"] as const;
/** See {@link tlsModes}. */
export type TlsMode = (typeof tlsModes)[number];

/** TLS as the user gives it: paths of PEM files. */
export const tlsSchema = z.strictObject({
  mode: z.enum(tlsModes).optional(),
  ca: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
});
/** See {@link tlsSchema}. */
export type Tls = z.infer<typeof tlsSchema>;

/** The options that every server's factory takes: a URL, or its parts, or both (parts win). */
export const serverOptionShape = {
  url: textSchema.optional().describe(
    "`postgres://user@host:5432/db`, or as the kind has it; parts that are given besides win.",
  ),
  host: textSchema.optional(),
  port: z.number().int().min(1).max(65_535).optional(),
  socket: textSchema.optional().describe("A Unix socket, or its folder for PostgreSQL."),
  user: textSchema.optional(),
  password: textSchema.optional(),
  database: textSchema.optional().describe("One database."),
  databases: z.array(z.string().min(1)).min(1).optional().describe(
    "Several databases, one artifact each; not together with `database`.",
  ),
  tls: tlsSchema.optional().describe("How TLS is used; paths are of PEM files."),
  source: textSchema.optional().describe(
    "Identifies the server where it has no id of its own; default its address as it is written.",
  ),
  connectTimeoutMs: z.number().int().positive().optional().describe(
    "Milliseconds to wait for a connection; default 10,000.",
  ),
  answerTimeoutMs: z.number().int().positive().optional().describe(
    "Milliseconds without any answer after which a server is given up; default 120,000.",
  ),
} as const;
/** See {@link serverOptionShape}. */
export type ServerOptions = z.infer<z.ZodObject<typeof serverOptionShape>>;

/** One connection, parsed once; it feeds both the driver and the tool. */
export interface Connection {
  readonly scheme: string;
  /** `host:port` pairs as written; MongoDB may have several. Empty when a socket is used. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly socket: string | undefined;
  readonly user: string | undefined;
  /** Resolved, known to the redactor. */
  readonly password: string | undefined;
  readonly database: string | undefined;
  readonly databases: readonly string[] | undefined;
  readonly tls: Tls;
  readonly connectTimeoutMs: number;
  /** See {@link whileAlive}. */
  readonly answerTimeoutMs: number;
  /** The URL's own parameters that are not taken up above, such as `replicaSet`. */
  readonly parameters: Readonly<Record<string, string>>;
}
