import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

/**
 * Runs something while a server is stopped, with all its processes: it takes connections (the kernel
 * does) and says nothing. It goes on afterwards, so that it can be ended.
 */
export async function whileStopped<T>(
  pids: number | readonly number[],
  run: () => Promise<T>,
): Promise<T> {
  const stopped = stopServer(pids);
  try {
    return await run();
  } finally {
    stopped.goOn();
  }
}

/**
 * Stops a server with all its processes, until it is told to go on. Every thread of it stands when
 * this returns: a signal takes its time, in which a server answers one more question.
 */
export function stopServer(roots: number | readonly number[]): { goOn(): void } {
  const pids = new Set<number>();
  // A process may be started by one that is not stopped yet.
  for (let before = -1; before !== pids.size;) {
    before = pids.size;
    for (const one of [roots].flat().flatMap((root) => [root, ...descendants(root)])) {
      if (!pids.has(one) && send(one, "SIGSTOP")) pids.add(one);
    }
  }
  while (![...pids].every(stands)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  return { goOn: () => [...pids].reverse().forEach((one) => send(one, "SIGCONT")) };
}

/** Whether no thread of a process runs; also when it has ended. */
function stands(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1");
      return /^[TtZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
    });
  } catch {
    return true;
  }
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // it has ended
  }
}

function descendants(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]));
    } catch {
      // It has ended.
    }
  }
  const found: number[] = [];
  for (let next = [root]; next.length > 0;) {
    next = [...parents].filter(([, parent]) => next.includes(parent)).map(([pid]) => pid);
    found.push(...next);
  }
  return found;
}
