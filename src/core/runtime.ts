import type { Environment } from "./environment.ts";
import type { Machine } from "./machine.ts";
import type { Secrets } from "./secret.ts";

export type { Environment } from "./environment.ts";

/** Structured log; `{name}` in a message is filled in from the properties. */
export interface Logger {
  debug(message: string, properties?: Record<string, unknown>): void;
  info(message: string, properties?: Record<string, unknown>): void;
  warn(message: string, properties?: Record<string, unknown>): void;
  error(message: string, properties?: Record<string, unknown>): void;
  /** The same log, with these properties in every record. */
  with(properties: Record<string, unknown>): Logger;
}

/**
 * What comes from outside the program: clock, randomness, environment, log. Made once by main (or by
 * a test) and handed down, so that every module can be run with others.
 */
export interface Runtime {
  readonly env: Environment;
  /** The clock. */
  readonly now: () => Date;
  /** Fresh random bytes, good enough for ids. */
  readonly random: (length: number) => Uint8Array;
  /** Structured log; children carry run id, job and database (`log.with({ job })`). */
  readonly log: Logger;
  /** Resolves references to secrets and knows what to redact. */
  readonly secrets: Secrets;
  /** Which machine this is. */
  readonly machine: () => Machine;
  /** Where temporary files may go; default the system's. */
  readonly tempDir: string;
}
