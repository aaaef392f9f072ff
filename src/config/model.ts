import type { DumpSettings } from "../contracts/source.ts";
import type { Secret } from "../core/secret.ts";
import type { DatabaseDefinition, DestinationDefinition } from "./definitions.ts";
import type { JobValues } from "./job-keys.ts";

export * from "./definitions.ts";

/** A job with its names looked up and the defaults filled in: see `job-keys.ts` for each of them. */
export interface JobDefinition extends JobValues {
  readonly name: string;
  /** What only some kinds of database have. */
  readonly settings: DumpSettings;
}

/** How the log is written. */
export interface LogSettings {
  /** Absent where nothing says so: info, and to a person at a terminal warning. */
  readonly level?: "debug" | "info" | "warning" | "error";
  readonly format: "text" | "json";
  /** Rotated file; standard error when absent. */
  readonly file?: { readonly path: string; readonly maxBytes: number; readonly keep: number };
}

/** A whole configuration, validated; references are not resolved yet. */
export interface Config {
  /** The file it came from; undefined for the ad-hoc form. */
  readonly path: string | undefined;
  readonly databases: ReadonlyMap<string, DatabaseDefinition>;
  readonly destinations: ReadonlyMap<string, DestinationDefinition>;
  readonly jobs: ReadonlyMap<string, JobDefinition>;
  /** The contents of age identity files, to read encrypted backups with. */
  readonly identities: readonly Secret[];
  readonly stateDir: string;
  readonly tempDir: string;
  readonly log: LogSettings;
}
