import type { Abortable, Bytes } from "../bytes.ts";

/** How one branch of a {@link tee} ended. */
export type BranchOutcome<T> =
  | { readonly status: "done"; readonly value: T }
  | { readonly status: "failed"; readonly error: unknown };

/** Reads a copy of the stream. Its signal aborts with the whole, and once the branch is dropped. */
export type Branch<T> = (copy: Bytes, signal: AbortSignal) => Promise<T>;

/**
 * Feeds one stream to several consumers in lockstep: the source is asked for more only when every
 * live branch has asked, so no branch gets ahead and nothing is buffered. All see the very same
 * chunk, valid until they ask for the next.
 *
 * A branch that fails, or ends before the stream, is dropped and the others go on. An error of the
 * source is thrown into every branch.
 *
 * @returns each branch's outcome, in order; at least one is `done`.
 * @throws the source's error, whatever the branches made of it; else, when every branch failed, the
 * error of the first that did
 */
export async function tee<T>(
  source: Bytes,
  branches: readonly Branch<T>[],
  o: Abortable,
): Promise<BranchOutcome<T>[]> {
  const lockstep = openLockstep(source);
  const failures: unknown[] = [];

  async function run(branch: Branch<T>, copy: Copy): Promise<BranchOutcome<T>> {
    const dropped = new AbortController();
    try {
      const signal = AbortSignal.any([o.signal, dropped.signal]);
      return { status: "done", value: await branch(copy.bytes, signal) };
    } catch (error) {
      failures.push(error);
      dropped.abort(error);
      return { status: "failed", error };
    } finally {
      copy.leave();
    }
  }

  // All copies exist before the first branch starts, or it would run ahead alone.
  const copies = branches.map(() => lockstep.join());
  const outcomes = await Promise.all(branches.map((branch, index) => run(branch, copies[index]!)));
  await lockstep.end();
  if (lockstep.failure !== undefined) throw lockstep.failure.error;
  if (failures.length > 0 && failures.length === branches.length) throw failures[0];
  return outcomes;
}

interface Copy {
  readonly bytes: Bytes;
  /** Says that this copy wants no more. May be called twice. */
  leave(): void;
}

interface Request {
  resolve(result: IteratorResult<Uint8Array>): void;
  reject(error: unknown): void;
}

interface Lockstep {
  join(): Copy;
  /** Releases the source. */
  end(): Promise<void>;
  /** What the source threw. */
  readonly failure: { readonly error: unknown } | undefined;
}

function openLockstep(source: Bytes): Lockstep {
  const iterator = source[Symbol.asyncIterator]();
  const live = new Map<Copy, Request | undefined>();
  const done = { done: true, value: undefined } as const;
  let isOver = false;
  let isPulling = false;
  let failure: { error: unknown } | undefined;

  function advance(): void {
    const isReady = live.size > 0 && [...live.values()].every((request) => request !== undefined);
    if (!isReady || isPulling || isOver) return;
    isPulling = true;
    iterator.next().then((result) => {
      isOver = result.done === true;
      answer((request) => request.resolve(result));
    }, (error) => {
      isOver = true;
      failure = { error };
      answer((request) => request.reject(error));
    });
  }

  function answer(give: (request: Request) => void): void {
    isPulling = false;
    const requests = [...live];
    for (const [copy] of requests) live.set(copy, undefined);
    for (const [, request] of requests) if (request !== undefined) give(request);
  }

  function join(): Copy {
    const copy: Copy = {
      bytes: { [Symbol.asyncIterator]: () => ({ next, return: end }) },
      leave,
    };
    live.set(copy, undefined);
    return copy;

    function next(): Promise<IteratorResult<Uint8Array>> {
      if (failure !== undefined) return Promise.reject(failure.error);
      if (isOver || !live.has(copy)) return Promise.resolve(done);
      return new Promise((resolve, reject) => {
        live.set(copy, { resolve, reject });
        advance();
      });
    }

    function end(): Promise<IteratorResult<Uint8Array>> {
      leave();
      return Promise.resolve(done);
    }

    function leave(): void {
      live.get(copy)?.resolve(done);
      live.delete(copy);
      advance();
    }
  }

  return {
    join,
    async end() {
      if (!isOver) await iterator.return?.();
      isOver = true;
    },
    get failure() {
      return failure;
    },
  };
}
