import type { Connector, ConnectorKind } from "../contracts/connector.ts";
import type { DumpPlan, Emit } from "../contracts/dump.ts";
import { type Abortable, type Bytes } from "../core/bytes.ts";
import { BackupError } from "../core/errors.ts";
import { abortable, settled, timed } from "../core/retry.ts";
import type { Runtime } from "../core/runtime.ts";

/** How long the calls of a connector may take. All in milliseconds. */
export interface ConnectorLimits {
  /** For a look at the server that reads none of its data. */
  readonly answerMs: number;
  /** For a dump that is told to stop, to end its children; default 30,000. */
  readonly dumpGraceMs?: number;
  /** For a restore that is told to stop, to take back what it has done; default 300,000. */
  readonly restoreGraceMs?: number;
  /** For closing; default 15,000. */
  readonly closeMs?: number;
}

// The silence of a dump's tool is the connector's own to watch, by DumpPlan.stallMs. This is for
// those that do not, and leaves room for what is silent by its nature, such as SQLite's copy.
const silencesOfTool = 6;

/**
 * Opens a connector no call of which holds anybody up for longer than its limit: each ends with the
 * signal's reason once that aborts, whether the connector hears the signal or not, or fails with
 * BackupError `connection/silent`, a dump with `dump/stalled`. Only a restore may be silent for as
 * long as it likes, as nobody can tell it from one that builds an index.
 *
 * `close` throws what the connector's own throws.
 *
 * @throws those of the kind's `open`
 */
export async function openWithLimits<O>(
  { kind, options }: { readonly kind: ConnectorKind<O>; readonly options: O },
  limits: ConnectorLimits,
  o: Abortable & { readonly runtime: Runtime },
): Promise<Connector> {
  // The kind may be a plugin's: it gets what it needs, whatever else the caller has.
  const { signal, runtime } = o;
  const opening = started(() => kind.open(options, { signal, runtime }));
  try {
    const late = (ms: number) => silent(kind.title, "open", ms);
    return withLimits(await timed(() => opening, limits.answerMs, o.signal, late), limits);
  } catch (error) {
    // One that opens after all has nobody to close it.
    opening.then((connector) => connector.close()).catch(() => {});
    throw error;
  }
}

/** See {@link openWithLimits}. */
export function withLimits(connector: Connector, limits: ConnectorLimits): Connector {
  const { location } = connector;
  const { answerMs, dumpGraceMs = 30_000, restoreGraceMs = 300_000, closeMs = 15_000 } = limits;

  function limited<T>(
    what: string,
    run: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    return timed(run, answerMs, signal, (ms) => silent(location, what, ms));
  }

  return {
    location,
    inspect: (o) => limited("inspect", (signal) => connector.inspect({ ...o, signal }), o.signal),
    databases: (o) =>
      limited("databases", (signal) => connector.databases({ ...o, signal }), o.signal),
    planRestore: (chain, options, o) =>
      limited(
        "planRestore",
        (signal) => connector.planRestore(chain, options, { ...o, signal }),
        o.signal,
      ),
    inventory: (database, o) =>
      limited("inventory", (signal) => connector.inventory(database, { ...o, signal }), o.signal),
    async dump(plan, emit, o) {
      const watched = watchDump(plan, emit, location);
      const signal = AbortSignal.any([o.signal, watched.signal]);
      try {
        return await stoppable(
          () => connector.dump(plan, watched.emit, { ...o, signal }),
          dumpGraceMs,
          signal,
        );
      } finally {
        watched.end();
      }
    },
    ...connector.acknowledge === undefined ? {} : {
      acknowledge: (manifest, o) =>
        limited(
          "acknowledge",
          async (signal) => await connector.acknowledge?.(manifest, { ...o, signal }),
          o.signal,
        ),
    },
    ...connector.reset === undefined ? {} : {
      reset: (job, o) =>
        limited(
          "reset",
          async (signal) => await connector.reset?.(job, { ...o, signal }) ?? [],
          o.signal,
        ),
    },
    restore: (chain, plan, options, o) =>
      stoppable(() => connector.restore(chain, plan, options, o), restoreGraceMs, o.signal),
    async close() {
      await timed(() => connector.close(), closeMs, never, (ms) => silent(location, "close", ms));
    },
  };
}

const never = new AbortController().signal;

/** Runs something that is given a grace to end by itself once the signal aborts. */
async function stoppable<T>(
  run: () => Promise<T>,
  graceMs: number,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const running = started(run);
  try {
    return await abortable(running, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    await settled(running, graceMs);
    // How it ended says more than that it was told to: what was done, or could not be taken back.
    return await abortable(running, signal);
  }
}

/** Measures how long a dump hands nothing over while nobody holds it back. */
function watchDump({ stallMs }: DumpPlan, emit: Emit, location: string) {
  const limitMs = stallMs * silencesOfTool;
  const ending = new AbortController();
  // How many of its streams wait for the pipeline, which has limits of its own.
  let withPipeline = 0;
  let heardAt = performance.now();
  const timer = setInterval(() => {
    if (withPipeline > 0 || performance.now() - heardAt < limitMs) return;
    ending.abort(stalled(location, limitMs));
  }, Math.max(10, Math.min(1_000, limitMs / 4)));

  function turn(change: number): void {
    withPipeline += change;
    heardAt = performance.now();
  }

  function seen(bytes: Bytes): Bytes {
    return {
      [Symbol.asyncIterator]() {
        const iterator = bytes[Symbol.asyncIterator]();
        return {
          async next() {
            turn(-1);
            try {
              return await iterator.next();
            } finally {
              turn(+1);
            }
          },
          async return() {
            await iterator.return?.();
            return { done: true, value: undefined };
          },
        };
      },
    };
  }

  return {
    signal: ending.signal,
    emit(...[head, bytes]: Parameters<Emit>) {
      turn(+1);
      const emitted = emit(head, seen(bytes)).finally(() => turn(-1));
      // Whoever watches the emits hears of one that the connector does not wait for.
      emitted.catch(() => {});
      return emitted;
    },
    end: () => clearInterval(timer),
  };
}

/** A promise of it, also where it throws at once. */
async function started<T>(run: () => Promise<T>): Promise<T> {
  return await run();
}

function silent(location: string, what: string, limitMs: number): BackupError {
  return new BackupError(
    "connection/silent",
    `${location} was asked to ${what} and has not answered for ${limitMs / 1000} s`,
    { hint: "Look at the server and the network between, then run again." },
  );
}

function stalled(location: string, limitMs: number): BackupError {
  return new BackupError(
    "dump/stalled",
    `The dump of ${location} has handed nothing over for ${limitMs / 1000} s`,
    { hint: "Look at the server and its log; the limit is six times the job's stallTimeout." },
  );
}
