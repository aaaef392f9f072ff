import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { RestoreStep } from "../../contracts/restore.ts";
import { type Client, quoteName } from "./client.ts";
import type { Selection } from "./selection.ts";

// A server that hangs must not keep an interrupted restore from ending.
const undoTimeoutMs = 60_000;

/** A restore that failed. */
export interface Attempt {
  readonly client: Client;
  readonly steps: readonly RestoreStep[];
  /** Steps whose old content was, or may have been, dropped. */
  readonly cleared: readonly RestoreStep[];
  readonly selection: Selection;
}

/**
 * Removes what a failed or interrupted restore left in databases that were not there, or empty,
 * before. What was replaced is gone, so what there is of the new stays.
 *
 * @returns the error to throw: the same, with what is there now
 */
export async function undo(
  error: unknown,
  { client, steps, cleared, selection: { isPartial } }: Attempt,
  o: Abortable & { readonly runtime: Runtime },
): Promise<unknown> {
  // An interruption must not keep us from cleaning up.
  const signal = AbortSignal.timeout(undoTimeoutMs);
  const states: string[] = [];
  for (const step of steps) {
    if (step.mode === "replace") {
      if (isPartial || cleared.includes(step)) states.push(replacedState(step, isPartial));
      continue;
    }
    if (step.mode === "fill" && isPartial) {
      states.push(`Database "${step.to}" may hold a part of the tables that were asked for`);
      continue;
    }
    try {
      await empty(client, step, { signal });
    } catch (cause) {
      // The failure itself matters more than one to clean up, which may have the same cause.
      o.runtime.log.warn("Database {to} could not be emptied again: {error}", {
        to: step.to,
        error: String(cause),
      });
      states.push(
        `Database "${step.to}" may hold a part of the backup; drop it, or pass --overwrite`,
      );
    }
  }
  if (states.length === 0) return error;
  if (error instanceof BackupError) return withStates(error, states);
  for (const state of states) o.runtime.log.warn("{state}", { state });
  return error;
}

function replacedState({ to }: RestoreStep, isPartial: boolean): string {
  return isPartial
    ? `Of the tables to replace in "${to}", some may be as in the backup, some missing and some old`
    : `Database "${to}" holds only a part of the backup: its old content was dropped before`;
}

/** Drops a database, and makes it again where it was there before. */
async function empty(client: Client, { to, mode }: RestoreStep, o: Abortable): Promise<void> {
  const name = quoteName(to);
  const [row] = mode === "fill" ? await client.query(`SHOW CREATE DATABASE ${name}`, o) : [];
  await client.query(`DROP DATABASE IF EXISTS ${name}`, o);
  if (row !== undefined) await client.query(String(Object.values(row)[1]), o);
}

function withStates(error: BackupError, states: readonly string[]): BackupError {
  const { code, message, hint, details } = error;
  const sentences = states.map((state) => `${state}.`);
  return new BackupError(code, message, {
    cause: error,
    hint: [
      ...sentences,
      "Run the restore again with --overwrite.",
      ...hint === undefined ? [] : [hint],
    ]
      .join(" "),
    details: { ...details, left: states },
  });
}
