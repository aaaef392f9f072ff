import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { sharedNow } from "./shared.ts";

/**
 * One folder for all that this process's tests leave lying about, and a small shell process, the
 * reaper, that cleans up behind it. The reaper's standard input is a pipe from here, so it wakes
 * up when this process ends, however it ends: `bun test` runs no `exit` handlers, and nothing can
 * handle SIGKILL. It ends the registered processes by id, unmounts, and removes the folder.
 */
interface Workspace {
  readonly folder: string;
  readonly reaper: ChildProcess;
  next: number;
}

const reaperScript = `
cat >/dev/null
# A zombie has ended too: in a container nobody may collect it.
is_running() {
  case $(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null) in '' | Z | X) return 1 ;; esac
}
for file in "$1"/.processes/*; do
  [ -f "$file" ] && kill -s "$(cat "$file")" "\${file##*/}" 2>/dev/null
done
for file in "$1"/.processes/*; do
  [ -f "$file" ] || continue
  tries=0
  while is_running "\${file##*/}"; do
    tries=$((tries + 1))
    [ $tries = 100 ] && kill -s KILL "\${file##*/}"
    [ $tries = 200 ] && break
    sleep 0.05
  done
done
while read -r _ mount _; do
  case $mount in "$1"/*) umount -l "$mount" ;; esac
done </proc/mounts
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
`;

const workspace = (): Workspace => sharedNow("workspace", openWorkspace);

function openWorkspace(): Workspace {
  const folder = mkdtempSync(path.join(os.tmpdir(), "dbbackup-test-"));
  chmodSync(folder, 0o755); // PostgreSQL runs as another user when the tests run as root
  mkdirSync(path.join(folder, ".processes"));
  // Detached, so that ctrl-C in a terminal reaches the tests and not the reaper.
  const reaper = spawn("sh", ["-c", reaperScript, "reaper", folder], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  reaper.unref();
  return { folder, reaper, next: 1 };
}

/**
 * Makes an empty folder, `0755`, that is removed when this process has ended.
 *
 * @param name What it is for; it becomes part of the folder's name.
 */
export function tempDir(name = "test"): string {
  const space = workspace();
  const folder = path.join(space.folder, `${space.next++}-${name.replaceAll(/[^\w.-]+/g, "-")}`);
  mkdirSync(folder, { mode: 0o755 });
  return folder;
}

/** Removes a folder of {@link tempDir} before its time; a full disk may need it. */
export function removeDir(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * Mounts a file system of its own, kept in memory, for tests of a full disk. It is unmounted when
 * this process has ended.
 *
 * @param sizeBytes Its size; the kernel rounds up to whole pages.
 * @returns Its folder, or undefined where this user may not mount.
 */
export function tmpfs(sizeBytes: number): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const folder = tempDir("tmpfs");
  const { status } = spawnSync("mount", [
    ...["-t", "tmpfs", "-o", `size=${sizeBytes},mode=0755`],
    ...["tmpfs", folder],
  ]);
  return status === 0 ? folder : undefined;
}

/**
 * Has a process killed when this one has ended.
 *
 * @param signal A name without `SIG`. Data is thrown away afterwards, so the quickest will do.
 * @returns A function that strikes it off the list again. Call it once the process has ended, for
 * the system gives the id to others.
 */
export function killAtEnd(pid: number, signal: "KILL" | "QUIT" | "TERM" = "KILL"): () => void {
  const file = path.join(workspace().folder, ".processes", String(pid));
  writeFileSync(file, signal);
  return () => rmSync(file, { force: true });
}
