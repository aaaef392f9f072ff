import type { z } from "zod";
import type { DatabaseDeclaration, DestinationDeclaration } from "../contracts/declare.ts";
import type { Secret } from "../core/secret.ts";
import type { jobSchema } from "./job.ts";
import type { chainSchema } from "../strategies/chain.ts";
import type { compressionSchema } from "./keys/compression.ts";
import type { encryptionSchema } from "./keys/encryption.ts";
import type { retentionRulesSchema } from "./keys/retention.ts";
import type { strategySchema } from "./keys/strategy.ts";
import type { AnyNames, WithNames } from "./schema-parts.ts";

/** A job; `D` and `S` are the names of the databases and destinations that are declared. */
export type JobInput<D extends string, S extends string> = WithNames<
  z.input<typeof jobSchema>,
  { databases: D; destinations: S }
>;
/** Everything of a job but what it backs up, where to, and which backups are kept. */
export type JobSettingsInput = Omit<
  JobInput<string, string>,
  "database" | "destinations" | "retention"
>;
/** How artifacts are compressed: a codec's name, or one with its level. */
export type CompressionInput = WithNames<z.input<typeof compressionSchema>, AnyNames>;
/** For whom backups are encrypted: public keys, or whoever knows a passphrase. */
export type EncryptionInput = WithNames<z.input<typeof encryptionSchema>, AnyNames>;
/** What each run takes: full backups, or chains of a full one and what builds on it. */
export type StrategyInput = WithNames<z.input<typeof strategySchema>, AnyNames>;
/** Which backups are kept; every rule keeps some, and what no rule keeps is dropped. */
export type RetentionRulesInput = WithNames<z.input<typeof retentionRulesSchema>, AnyNames>;
/** Retention of a job. */
export type RetentionInput<S extends string> = NonNullable<JobInput<string, S>["retention"]>;

/** How chains are made. */
export type ChainInput = WithNames<z.input<typeof chainSchema>, AnyNames>;

/** How the log is written. */
export interface LogInput {
  /** Default `"info"`. */
  readonly level?: "debug" | "info" | "warning" | "error";
  /** Default `"text"`. */
  readonly format?: "text" | "json";
  /** A file that is rotated; default standard error. */
  readonly file?: string | {
    readonly path: string;
    /** Default `"10MiB"`. */
    readonly maxSize?: string;
    /** How many files are kept, with the current one. Default 5. */
    readonly keep?: number;
  };
}

/** What `backup.config.ts` exports. */
export interface ConfigInput<D extends string, S extends string> {
  readonly databases: { readonly [name in D]: DatabaseDeclaration };
  readonly destinations: { readonly [name in S]: DestinationDeclaration };
  readonly jobs: { readonly [name: string]: JobInput<NoInfer<D>, NoInfer<S>> };
  /** Any field of a job but its database, for the jobs that do not set it. */
  readonly defaults?: Partial<Omit<JobInput<NoInfer<D>, NoInfer<S>>, "database">>;
  /** Contents of age identity files, to read encrypted backups with: `file("/etc/key.txt")`. */
  readonly identities?: readonly Secret[];
  /** Locks and the record of runs. Default `$XDG_STATE_HOME/dbbackup`; root: `/var/lib/dbbackup`. */
  readonly stateDir?: string;
  /** Temporary files. Default `$TMPDIR`, or the system's. */
  readonly tempDir?: string;
  readonly log?: LogInput;
}

/** Types a config: a name that is not declared, or a key that there is not, does not compile. */
export function defineConfig<D extends string, S extends string>(
  config: ConfigInput<D, S>,
): ConfigInput<D, S> {
  return config;
}
