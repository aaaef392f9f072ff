import type { Logger } from "@logtape/logtape";
import type { Machine } from "./machine.ts";
import type { Secrets } from "./secret.ts";

/** Environment variables, as passed in by main: nothing else reads the process's own. */
export type Environment = Readonly<Record<string, string | undefined>>;

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
