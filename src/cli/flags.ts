/** The flags that every command has. */
export interface CommonFlags {
  readonly config: string | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly logLevel: "debug" | "info" | "warning" | "error" | undefined;
  readonly logFormat: "text" | "json" | undefined;
  readonly logFile: string | undefined;
}

/** The flags that say how an encrypted backup is opened. */
export interface KeyFlags {
  /** Paths of files with age identities. */
  readonly identities: readonly string[];
  readonly passphraseFile: string | undefined;
  readonly passphraseEnv: string | undefined;
}
