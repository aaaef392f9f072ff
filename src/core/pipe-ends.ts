import { closeSync } from "node:fs";
import process from "node:process";
import { type Ffi, loadFfi } from "./bun.ts";

// The same on all of Linux's processors that Bun runs on (fcntl.h).
const closeOnExec = 0o2000000;
const nonBlocking = 0o4000;
const setFlags = 4;
const setPipeSize = 1031;
// What every user may have, unless /proc/sys/fs/pipe-max-size says otherwise.
const pipeBytes = 1024 * 1024;

/** The descriptors of a pipe between us and a child. */
export interface PipeEnds {
  /** Does not block. */
  readonly ours: number;
  readonly childs: number;
}

/**
 * Opens a pipe that holds 1 MiB; undefined where there is none: it takes Linux, and Bun's way to call
 * the C library.
 *
 * @param we what we do with our end
 */
export function openPipe(we: "read" | "write"): PipeEnds | undefined {
  const system = process.platform === "linux" ? libc() : undefined;
  if (system === undefined) return undefined;
  const fds = new Int32Array(2);
  if (system.pipe2(fds, closeOnExec) !== 0) return undefined;
  const [ours, childs] = we === "read" ? [fds[0]!, fds[1]!] : [fds[1]!, fds[0]!];
  const isWide = system.fcntl(ours, setPipeSize, pipeBytes) >= pipeBytes &&
    system.fcntl(ours, setFlags, nonBlocking) === 0;
  if (isWide) return { ours, childs };
  // A user may have 64 MiB of them; a narrow one would be slow, looked at so rarely.
  closeSync(ours);
  closeSync(childs);
  return undefined;
}

/** What of the C library is called. */
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
