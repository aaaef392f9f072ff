import type { Config, DestinationDefinition } from "../config/model.ts";
import type { ConnectorKind } from "../contracts/connector.ts";
import type { StorageKind } from "../contracts/storage.ts";
import type { BackupError } from "../core/errors.ts";
import type { Runtime } from "../core/runtime.ts";
import type { Secrets } from "../core/secret.ts";
import type { JobContext } from "../jobs/shared/context.ts";
import type { CommonFlags, KeyFlags } from "./flags.ts";
import type { Host } from "./host.ts";

/** What a command works with. */
export interface Session {
  readonly host: Host;
  readonly flags: CommonFlags;
  readonly secrets: Secrets;
  /** Whether a flag's value stood on the command line, where other users see it; else in a variable. */
  isTyped(text: string): boolean;
  /** The config, found and loaded on the first call. */
  config(): Promise<Config>;
  /** The config, if one was loaded so far. */
  loadedConfig(): Config | undefined;
  /** The config that `--config` names; undefined without the flag: the ad-hoc form searches none. */
  namedConfig(): Promise<Config | undefined>;
  /** The destinations of `--from`, or all of the config. */
  destinations(from: readonly string[]): Promise<readonly DestinationDefinition[]>;
  /** Built-in kinds of databases and those of the config that is loaded. */
  connectors(): readonly ConnectorKind[];
  /** Built-in kinds of destinations and those of the config that is loaded. */
  storages(): readonly StorageKind[];
  /** For everything below: with the config's folders, once it is loaded. */
  runtime(): Runtime;
  /**
   * What a job takes; its progress is shown on the terminal under `label`, and encrypted backups are
   * opened with what the command's flags name.
   */
  job(label: string, keys?: KeyFlags): JobContext;
  /** Writes a line for people to standard output; nothing with `--json`. */
  print(text: string): void;
  /** Warns people on standard error, and the log. */
  warn(text: string): void;
  /**
   * Tells people of an error on standard error, with its hint. Where standard error is a JSON log,
   * the error is a line of it, unless `isLogged` says that it is there already.
   */
  complain(error: BackupError, o?: { isLogged: boolean }): void;
  /** Colours a text for standard output. */
  paint(colour: Colour, text: string): string;
  /** Takes the progress line away. */
  clearProgress(): void;
}

/** The colours that output uses. */
export type Colour = "red" | "green" | "yellow" | "dim" | "bold";
