import { closeSync, readSync, writeSync } from "node:fs";
import { setImmediate, setTimeout } from "node:timers/promises";
import type { Bytes } from "./bytes.ts";
import { systemCode } from "./errors.ts";
import { openPipe } from "./pipe-ends.ts";

// Pipes to and from children that hold 1 MiB, so that nobody wakes up for each of the 4 KiB that tools
// read and write at a time: we look once a millisecond, and find that many have come together.
//
// Measured on 260 MB of pg_dump on 2 cores: 1,500 reads, against 117,000 and 37,000 wake-ups of the
// stream that node:child_process gives.

/** What both directions have. */
interface WideEnd {
  /** The end for the child; the caller closes it once the child has it. */
  readonly childFd: number;
  /** Settles once our end is closed. */
  readonly closed: Promise<void>;
  /** Closes our end; may be called twice. */
  close(): void;
}

/** The output of a child. */
export interface WideOutput extends WideEnd {
  /**
   * What is written into it, in one reused buffer, until nobody holds the child's end any more. Our end
   * is closed with it.
   */
  readonly bytes: Bytes;
}

/** The input of a child. */
export interface WideInput extends WideEnd {
  /** Settles once all of a chunk is in the pipe, or nobody reads it any more. */
  write(chunk: Uint8Array): Promise<void>;
  /** Whether nobody reads it any more, or our end is closed. */
  readonly isBroken: boolean;
}

/** Opens a pipe for the output of a child; undefined where there are none that wide. */
export function openWideOutput(): WideOutput | undefined {
  const ends = openPipe("read");
  if (ends === undefined) return undefined;
  const ours = closable(ends.ours);

  async function* read(): Bytes {
    try {
      yield* content(ends!.ours, ours.isOpen);
    } finally {
      ours.close();
    }
  }

  return { childFd: ends.childs, bytes: read(), closed: ours.closed, close: ours.close };
}

/** Opens a pipe for the input of a child; undefined where there are none that wide. */
export function openWideInput(): WideInput | undefined {
  const ends = openPipe("write");
  if (ends === undefined) return undefined;
  const { isOpen, closed, close } = closable(ends.ours);
  let isBroken = false;

  async function write(chunk: Uint8Array): Promise<void> {
    let idleMs = pauseMs;
    for (let offset = 0; offset < chunk.byteLength && isOpen();) {
      const length = writeNow(ends!.ours, chunk.subarray(offset));
      if (length === undefined) {
        isBroken = true;
        return;
      }
      offset += length;
      if (offset === chunk.byteLength) break;
      idleMs = length > 0 ? pauseMs : Math.min(2 * idleMs, longestPauseMs);
      await setTimeout(idleMs);
    }
  }

  return {
    childFd: ends.childs,
    write,
    get isBroken() {
      return isBroken || !isOpen();
    },
    closed,
    close,
  };
}

function closable(fd: number) {
  const { promise: closed, resolve: noteClosed } = Promise.withResolvers<void>();
  let isOpen = true;
  return {
    isOpen: () => isOpen,
    closed,
    close() {
      if (!isOpen) return;
      isOpen = false;
      closeSync(fd);
      noteClosed();
    },
  };
}

const bufferBytes = 256 * 1024;
// After less than this, it is worth while to let more come together.
const fewBytes = 128 * 1024;
const pauseMs = 1;
const longestPauseMs = 16;

/** What comes, until the end or until the pipe is closed. */
async function* content(fd: number, isOpen: () => boolean): Bytes {
  const buffer = new Uint8Array(bufferBytes);
  let idleMs = pauseMs;
  while (isOpen()) {
    const lookedAt = performance.now();
    const length = readNow(fd, buffer);
    if (length === 0) return;
    if (length === undefined) {
      await setTimeout(idleMs);
      idleMs = Math.min(2 * idleMs, longestPauseMs);
      continue;
    }
    idleMs = pauseMs;
    yield buffer.subarray(0, length);
    // A consumer that never waits must not keep everything else from going on.
    if (length >= fewBytes || performance.now() - lookedAt >= pauseMs) await setImmediate();
    else await setTimeout(pauseMs);
  }
}

/** How many bytes there were; 0 at the end, undefined for none yet. */
function readNow(fd: number, buffer: Uint8Array): number | undefined {
  try {
    return readSync(fd, buffer, 0, buffer.byteLength, null);
  } catch (error) {
    if (systemCode(error) === "EAGAIN") return undefined;
    throw error;
  }
}

/** How many bytes there was room for; undefined when nobody reads them. */
function writeNow(fd: number, bytes: Uint8Array): number | undefined {
  try {
    return writeSync(fd, bytes, 0, bytes.byteLength, null);
  } catch (error) {
    if (systemCode(error) === "EAGAIN") return 0;
    if (systemCode(error) === "EPIPE") return undefined;
    throw error;
  }
}
