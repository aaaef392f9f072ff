/**
 * The buffers of one storage, in which bodies are gathered into parts. They are reused for as long
 * as the storage is open, because freed ones of this size linger in memory.
 */
export interface PartBuffers {
  /** Length of each buffer. */
  readonly partBytes: number;
  /** Starts one put, which has one buffer for itself and competes for the others. */
  lease(): PartLease;
}

/** The buffers of one put. */
export interface PartLease {
  /**
   * Waits for a free buffer. Call it only while every buffer that is held is on its way, for then
   * one comes back sooner or later.
   *
   * @throws the signal's reason
   */
  take(signal: AbortSignal): Promise<Uint8Array>;
  /** Returns a buffer that nothing reads any more. */
  give(buffer: Uint8Array): void;
}

/**
 * Makes the buffers of a storage: `spare` ones that all its puts share, beside one for each put
 * that is under way, so that no put ever waits for another one to end.
 *
 * @param spare how many parts one put alone can have on their way while it gathers the next
 */
export function createPartBuffers(partBytes: number, spare: number): PartBuffers {
  const idle: Uint8Array[] = [];
  // Those who wait; each says whether it took a buffer.
  const waiting = new Set<() => boolean>();
  let sparesFree = spare;

  function lease(): PartLease {
    let held = 0;

    function tryTake(): Uint8Array | undefined {
      if (held > 0 && sparesFree === 0) return undefined;
      if (held > 0) sparesFree--;
      held++;
      return idle.pop() ?? new Uint8Array(partBytes);
    }

    return {
      take(signal) {
        signal.throwIfAborted();
        const free = tryTake();
        if (free !== undefined) return Promise.resolve(free);
        return new Promise((resolve, reject) => {
          const retry = () => {
            const freed = tryTake();
            if (freed === undefined) return false;
            signal.removeEventListener("abort", giveUp);
            resolve(freed);
            return true;
          };
          const giveUp = () => {
            waiting.delete(retry);
            reject(signal.reason);
          };
          signal.addEventListener("abort", giveUp, { once: true });
          waiting.add(retry);
        });
      },
      give(buffer) {
        idle.push(buffer);
        held--;
        if (held > 0) sparesFree++;
        for (const retry of [...waiting]) if (retry()) waiting.delete(retry);
      },
    };
  }

  return { partBytes, lease };
}
