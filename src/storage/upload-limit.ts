import type { Storage } from "../contracts/storage.ts";
import type { Bytes } from "../core/bytes.ts";
import { sleep as pause } from "../core/retry.ts";

/** Time as a limit sees it; tests bring their own. */
export interface LimitClock {
  /** Milliseconds from any start; they never go back. */
  readonly nowMs: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

const systemClock: LimitClock = { nowMs: () => performance.now(), sleep: pause };

// Uploads at the same time take turns at pieces of this size, and none waits long at once.
const mostBytesAtOnce = 64 * 1024;
const mostMsAtOnce = 100;
// Timers fire late: what was lost by that is caught up with, for no longer than this.
const mostCreditMs = 250;

/**
 * Wraps a storage so that all its puts together send no more than so many bytes in a second. It goes
 * around the stall limit, whose watch stands still while the storage waits for the next chunk: a
 * slow upload that this limit causes is no stall.
 *
 * @param bytesPerSecond at least 1
 */
export function withUploadLimit(
  storage: Storage,
  bytesPerSecond: number,
  clock: LimitClock = systemClock,
): Storage {
  // When what was let through so far has been sent, at exactly the limit.
  let sentAtMs = clock.nowMs();

  /** Takes a turn: whoever asks first is served first. */
  async function take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const endMs = Math.max(sentAtMs, clock.nowMs() - mostCreditMs) + bytes / bytesPerSecond * 1_000;
    sentAtMs = endMs;
    for (let leftMs = endMs - clock.nowMs(); leftMs > 0; leftMs = endMs - clock.nowMs()) {
      await clock.sleep(leftMs, signal);
    }
  }

  const pieceBytes = Math.max(
    1,
    Math.min(mostBytesAtOnce, Math.floor(bytesPerSecond * mostMsAtOnce / 1_000)),
  );

  async function* limited(body: Bytes, signal: AbortSignal): Bytes {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.byteLength; at += pieceBytes) {
        const piece = chunk.subarray(at, at + pieceBytes);
        await take(piece.byteLength, signal);
        yield piece;
      }
    }
  }

  return {
    ...storage,
    async put(key, body, o) {
      if (!(body instanceof Uint8Array)) return await storage.put(key, limited(body, o.signal), o);
      await take(body.byteLength, o.signal);
      return await storage.put(key, body, o);
    },
  };
}
