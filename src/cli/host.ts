import type { Environment } from "../core/runtime.ts";
import type { Surroundings } from "../config/find.ts";

/** Standard output or error. */
export interface Output {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** The terminal's width in columns; 100 where there is none. */
  readonly columns: number;
}

/** Standard output, which takes bytes that are no text, too. */
export interface ByteOutput extends Output {
  /**
   * Writes bytes and waits until they are out; then the chunk may be used again.
   *
   * @returns false when the reader is gone, or the bytes cannot be written
   */
  writeBytes(chunk: Uint8Array): Promise<boolean>;
}

/** What the command line gets from the process that it runs in; tests bring their own. */
export interface Host extends Surroundings {
  readonly env: Environment;
  readonly stdout: ByteOutput;
  readonly stderr: Output;
  /**
   * Asks the user on the terminal; undefined where there is none to ask.
   *
   * @throws BackupError `interrupted/signal` on ctrl-C
   */
  readonly ask?: (question: string, o: { isHidden: boolean }) => Promise<string>;
  readonly now: () => Date;
  readonly random: (length: number) => Uint8Array;
  /**
   * Runs something while SIGINT and SIGTERM end the process at once: a config that waits or loops
   * hears no listener, and nothing is held while it is loaded. Absent in tests.
   */
  readonly withDefaultSignals?: <T>(use: () => Promise<T>) => Promise<T>;
  /** Aborts on SIGINT and SIGTERM, with the reason to fail with. */
  readonly signal: AbortSignal;
}

/** True where colours are wanted: on a terminal, unless NO_COLOR says otherwise. */
export function isColourful(output: Output, env: Environment): boolean {
  return output.isTerminal && !env["NO_COLOR"] && env["TERM"] !== "dumb";
}
