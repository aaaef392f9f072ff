import type { KeyAid, Keyring } from "../../contracts/codec.ts";
import type { JobEvent } from "../../contracts/run.ts";
import type { Abortable } from "../../core/bytes.ts";
import type { Patience } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";

/** What a plugin gets, of a database or a destination: neither keys nor the state folder. */
export interface PluginContext extends Abortable {
  readonly runtime: Runtime;
  /** How long destinations that do not answer are tried again. */
  readonly patience?: Patience;
}

/** What every job needs from outside. */
export interface JobContext extends PluginContext {
  /** Locks, run history and caches. */
  readonly stateDir: string;
  /** Flags by which another command finds the same config, for the commands that hints print. */
  readonly configFlags?: readonly string[];
  /** What opens encrypted backups; without it they stay closed. */
  readonly keyring?: Keyring;
  /** For recipients of age's plugins; without it nobody is asked. */
  readonly keyAid?: KeyAid;
  /** Told what happens; progress at most a few times a second. It must not throw. */
  readonly onEvent?: (event: JobEvent) => void;
}

/** The part of a job's context that plugins may have. */
export function forPlugin({ signal, runtime, patience }: PluginContext): PluginContext {
  return { signal, runtime, ...patience === undefined ? {} : { patience } };
}
