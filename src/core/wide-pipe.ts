import { closeSync, readSync } from "node:fs";
import process from "node:process";
import { setImmediate, setTimeout } from "node:timers/promises";
import { type Ffi, loadFfi } from "./bun.ts";
import type { Bytes } from "./bytes.ts";
import { systemCode } from "./errors.ts";

/**
 * A pipe for the output of a child, which holds 1 MiB, and whose reader does not wake up for each of
 * the 4 KiB that tools write at a time: it looks once a millisecond, and finds many of them.
 *
 * Measured on 260 MB of pg_dump on 2 cores: 1,500 reads, against 117,000 and 37,000 wake-ups of the
 * stream that node:child_process gives, and half of the whole program's time outside the compressor.
 */
export interface WidePipe {
  /** The end for the child; the caller closes it once the child has it. */
  readonly childFd: number;
  /** What is written into it, in one reused buffer, until nobody holds the child's end any more. */
  readonly bytes: Bytes;
  /** Settles once our end is closed, as it is at the end of the bytes. */
  readonly closed: Promise<void>;
  /** Closes our end; may be called twice. */
  close(): void;
}

/** Opens one; undefined where there is none: it takes Linux, and Bun's way to call the C library. */
export function openWidePipe(): WidePipe | undefined {
  const fds = process.platform === "linux" ? openPipe() : undefined;
  if (fds === undefined) return undefined;
  const [fd, childFd] = fds;
  const { promise: closed, resolve: noteClosed } = Promise.withResolvers<void>();
  let isOpen = true;

  function close(): void {
    if (!isOpen) return;
    isOpen = false;
    closeSync(fd);
    noteClosed();
  }

  async function* read(): Bytes {
    try {
      yield* content(fd, () => isOpen);
    } finally {
      close();
    }
  }

  return { childFd, bytes: read(), closed, close };
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

// The same on all of Linux's processors that Bun runs on (fcntl.h).
const closeOnExec = 0o2000000;
const nonBlocking = 0o4000;
const setFlags = 4;
const setPipeSize = 1031;
// What every user may have, unless /proc/sys/fs/pipe-max-size says otherwise.
const pipeBytes = 1024 * 1024;

/** Our end, which does not block, and the child's, which does. */
function openPipe(): [number, number] | undefined {
  const system = libc();
  if (system === undefined) return undefined;
  const fds = new Int32Array(2);
  if (system.pipe2(fds, closeOnExec) !== 0) return undefined;
  const [ours, childs] = [fds[0]!, fds[1]!];
  const isWide = system.fcntl(ours, setPipeSize, pipeBytes) >= pipeBytes &&
    system.fcntl(ours, setFlags, nonBlocking) === 0;
  if (isWide) return [ours, childs];
  // A user may have 64 MiB of them; a narrow one would be slow, looked at so rarely.
  closeSync(ours);
  closeSync(childs);
  return undefined;
}

interface Libc {
  pipe2(fds: Int32Array, flags: number): number;
  fcntl(fd: number, command: number, argument: number): number;
}

let loaded: { readonly system: Libc | undefined } | undefined;

function libc(): Libc | undefined {
  return (loaded ??= { system: loadLibc(loadFfi()) }).system;
}

/** glibc's or musl's, whichever this program runs on. */
function loadLibc(ffi: Ffi | undefined): Libc | undefined {
  const machine = process.arch === "x64" ? "x86_64" : "aarch64";
  for (const name of ["libc.so.6", `libc.musl-${machine}.so.1`]) {
    try {
      return ffi?.dlopen<Libc>(name, {
        pipe2: { args: ["ptr", "i32"], returns: "i32" },
        fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
      }).symbols;
    } catch {
      // The other one, then; or none, where the system forbids code that is made at run time.
    }
  }
  return undefined;
}
