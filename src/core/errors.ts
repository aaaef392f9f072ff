/**
 * Every way to end, with its exit status. The order is severity, worst first: a command that does
 * several things exits with the worst that happened.
 *
 * Statuses are part of the command line's contract and never change meaning; 130 is what a shell
 * reports for a program ended by ctrl-C (128 + SIGINT).
 */
export const exitStatuses = {
  internal: 1,
  interrupted: 130,
  verification: 7,
  restore: 8,
  dump: 5,
  storage: 6,
  connection: 4,
  config: 3,
  usage: 2,
  locked: 10,
  partial: 9,
} as const;

/** What an area of errors means, one line each, for `--help` and the README. */
export const areaMeanings: Readonly<Record<ErrorArea, string>> = {
  internal: "a defect in dbbackup itself",
  interrupted: "stopped by SIGINT or SIGTERM; what could not be cleaned up is said",
  verification: "a backup is damaged or incomplete",
  restore: "a restore failed or was refused",
  dump: "the database could not be dumped completely",
  storage: "a destination could not be read or written",
  connection: "a database could not be reached, or denied access",
  config: "the configuration is missing, unsafe or wrong",
  usage: "the command line is wrong",
  locked: "another run has the job, or its database",
  partial: "some destinations have the backup and some do not, or old ones could not be pruned",
};

/** The first half of an error code; it decides the exit status. */
export type ErrorArea = keyof typeof exitStatuses;

/** `area/what`, such as `storage/not-found`: stable, for scripts and tests to match on. */
export type ErrorCode = `${ErrorArea}/${string}`;

/** The options of a {@link BackupError}. */
export interface BackupErrorOptions {
  /** What to do about it, as a sentence in the imperative. */
  readonly hint?: string;
  /** The error underneath. */
  readonly cause?: unknown;
  /** More facts for machines, in `--json` and the log. Never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The one error that users see: a code, a message in active voice that names the value at fault,
 * and a hint that says what to do.
 */
export class BackupError extends Error {
  override readonly name = "BackupError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options: BackupErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
  }
}

/** The area of a code: `storage` of `storage/not-found`. */
export function areaOf(code: ErrorCode): ErrorArea {
  return code.slice(0, code.indexOf("/")) as ErrorArea;
}

/** The exit status that a code stands for. */
export function exitStatusOf(code: ErrorCode): number {
  return exitStatuses[areaOf(code)];
}

/** The worst of several codes, by the order of {@link exitStatuses}; undefined of none. */
export function worstCode(codes: Iterable<ErrorCode>): ErrorCode | undefined {
  const order = Object.keys(exitStatuses);
  return [...codes].sort((a, b) => order.indexOf(areaOf(a)) - order.indexOf(areaOf(b)))[0];
}

/** Makes any thrown value a {@link BackupError}: what is not one already is `internal/unexpected`. */
export function toBackupError(error: unknown): BackupError {
  if (error instanceof BackupError) return error;
  const message = error instanceof Error ? error.message || error.name : String(error);
  return new BackupError("internal/unexpected", message, {
    cause: error,
    hint: "Please report this with the log of --log-level debug.",
  });
}

/** True for an error with this code, or with any code of this area when given `storage/`. */
export function hasCode(error: unknown, code: ErrorCode | `${ErrorArea}/`): error is BackupError {
  if (!(error instanceof BackupError)) return false;
  return code.endsWith("/") ? error.code.startsWith(code) : error.code === code;
}

/** The system's error code (`ENOENT`) of a thrown value, if it carries one. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}
