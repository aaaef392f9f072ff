import type { BackupRef } from "../contracts/strategy.ts";

/** What Kerberos and AWS signatures tolerate, 5 to 15 minutes, is what clocks can be relied on for. */
export const mostSkewMs = 15 * 60_000;

/** What tells when a backup was made. */
export type Dated = Pick<BackupRef, "createdAt" | "storedAt">;

/**
 * When a backup was made: what its folder says, unless the store, which has a clock of its own, had
 * the manifest before that. Then the clock of the machine that made it was ahead, and the store's
 * word counts.
 */
export function momentOf({ createdAt, storedAt }: Dated): Date {
  return storedAt !== undefined && createdAt.getTime() - storedAt.getTime() > mostSkewMs
    ? storedAt
    : createdAt;
}

/**
 * True for a backup that is dated later than now, by more than clocks differ: the clock of the machine
 * that made it was ahead, or the one of this machine is behind.
 */
export function isAhead(dated: Dated, now: Date): boolean {
  return momentOf(dated).getTime() - now.getTime() > mostSkewMs;
}
