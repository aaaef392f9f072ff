import type { Abortable } from "./bytes.ts";
import { BackupError } from "./errors.ts";
import { abortable, sleep, timed } from "./retry.ts";

/** How a server is asked whether it is still there, while something waits for it. */
export interface SignOfLife {
  /** Where it is, for the error: `postgres://app@db:5432`. */
  readonly label: string;
  /**
   * Asks for any answer at all, over a connection of its own: one that hangs says nothing about the
   * server. A refusal is an answer, too; only silence and a closed door are none.
   */
  ask(o: Abortable): Promise<unknown>;
  /** Milliseconds between two questions, default 10,000. */
  readonly everyMs?: number;
  /** Milliseconds without an answer after which the server is given up, default 120,000. */
  readonly limitMs?: number;
  /** Told once, when the first question was not answered: for a line on what is waited for. */
  onSilence?(silentMs: number): void;
}

/** See {@link SignOfLife}. */
export const defaultAnswerTimeoutMs = 120_000;
const defaultEveryMs = 10_000;

/**
 * Runs something that waits for a server, for as long as the server gives signs of life: a query may
 * take hours on one that answers others, and must not take for ever on one that is stopped, killed
 * or cut off. It settles with the signal's reason at once when that aborts, whatever the driver does.
 *
 * @param run gets a signal that aborts with the caller's, or when the server is given up. What does
 * not end then is left behind.
 * @throws BackupError `connection/silent`; the signal's reason; what `run` throws
 */
export async function whileAlive<T>(
  run: (signal: AbortSignal) => Promise<T>,
  server: SignOfLife,
  { signal }: Abortable,
): Promise<T> {
  signal.throwIfAborted();
  const ending = new AbortController();
  const abort = () => ending.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const watching = watchServer(server, (error) => ending.abort(error));
  try {
    return await abortable(run(ending.signal), ending.signal);
  } catch (error) {
    throw ending.signal.aborted ? ending.signal.reason : error;
  } finally {
    signal.removeEventListener("abort", abort);
    watching.stop();
  }
}

/**
 * Asks a server for signs of life until it is stopped; calls `giveUp` once when there was none for
 * too long. For what {@link whileAlive} cannot wrap: a tool that talks to the server itself, which is
 * told by `alive` of its ChildSpec.
 *
 * @param giveUp gets the BackupError `connection/silent`
 * @param waitedMs for how long something has been waiting; what is not kept waiting asks nothing
 */
export function watchServer(
  server: SignOfLife,
  giveUp: (error: BackupError) => void,
  waitedMs: () => number = () => Infinity,
): { stop(): void } {
  const stopping = new AbortController();
  const { everyMs = defaultEveryMs, limitMs = defaultAnswerTimeoutMs } = server;
  const askEveryMs = Math.max(1, Math.min(everyMs, limitMs / 2));
  void (async () => {
    let silentSince: number | undefined;
    for (;;) {
      await sleep(askEveryMs, stopping.signal);
      if (waitedMs() < askEveryMs) {
        silentSince = undefined;
        continue;
      }
      const askedAt = performance.now();
      const leftMs = limitMs - (askedAt - (silentSince ?? askedAt));
      const hasAnswered = await timed(
        (signal) => server.ask({ signal }),
        Math.max(1, leftMs),
        stopping.signal,
      ).then(() => true, () => false);
      if (stopping.signal.aborted) return;
      if (hasAnswered || waitedMs() < askEveryMs) {
        silentSince = undefined;
        continue;
      }
      if (silentSince === undefined) {
        silentSince = askedAt;
        server.onSilence?.(performance.now() - askedAt);
      }
      if (performance.now() - silentSince >= limitMs) {
        giveUp(silent(server.label, limitMs));
        return;
      }
    }
  })().catch(() => {}); // sleep ends with the watching
  return { stop: () => stopping.abort() };
}

function silent(label: string, limitMs: number): BackupError {
  return new BackupError(
    "connection/silent",
    `${label} has not answered for ${limitMs / 1000} s`,
    {
      hint: "Look at the server and the network between, then run again. How long is waited is " +
        "the database's answerTimeoutMs.",
    },
  );
}
