import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

/**
 * Runs something while a server is stopped, with all its processes: it takes connections (the kernel
 * does) and says nothing. It goes on afterwards, so that it can be ended.
 */
export async function whileStopped<T>(pid: number, run: () => Promise<T>): Promise<T> {
  const stopped = stopServer(pid);
  try {
    return await run();
  } finally {
    stopped.goOn();
  }
}

/** Stops a server with all its processes, until it is told to go on. */
export function stopServer(pid: number): { goOn(): void } {
  const pids = new Set<number>();
  // A process may be started by one that is not stopped yet.
  for (let before = -1; before !== pids.size;) {
    before = pids.size;
    for (const one of [pid, ...descendants(pid)]) {
      if (!pids.has(one) && send(one, "SIGSTOP")) pids.add(one);
    }
  }
  return { goOn: () => [...pids].forEach((one) => send(one, "SIGCONT")) };
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
