import { readdirSync, readFileSync } from "node:fs";

/** A process of this machine, as `/proc` has it. */
interface ProcessStatus {
  readonly id: number;
  readonly parent: number;
  /** False for one that has ended and that nobody has collected yet. */
  readonly isRunning: boolean;
}

/** Whether a process runs. */
export function isRunning(id: number): boolean {
  return statusOf(id)?.isRunning ?? false;
}

/** Process ids of children of `id` that run. */
export function childrenOf(id: number): number[] {
  return processes().filter(({ parent, isRunning }) => parent === id && isRunning)
    .map((process) => process.id);
}

/**
 * Watches the arguments of a process and of all that descend from it, of nobody else: other tests
 * run at the same time. One that loses its parent stays watched.
 *
 * @returns A function that adds what can be seen now and returns all command lines seen so far.
 */
export function watchArguments(id: number): () => ReadonlySet<string> {
  const watched = new Set([id]);
  const seen = new Set<string>();
  return () => {
    const all = processes();
    let before: number;
    do {
      before = watched.size;
      for (const { id, parent } of all) if (watched.has(parent)) watched.add(id);
    } while (watched.size > before);
    for (const { id } of all) if (watched.has(id)) seen.add(argumentsOf(id));
    return seen;
  };
}

function processes(): ProcessStatus[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name))
    .flatMap((id) => statusOf(Number(id)) ?? []);
}

function statusOf(id: number): ProcessStatus | undefined {
  const text = readFrom(`/proc/${id}/stat`);
  if (text === "") return undefined;
  // The name in parentheses may contain anything.
  const [state, parent] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { id, parent: Number(parent), isRunning: state !== "Z" && state !== "X" };
}

function argumentsOf(id: number): string {
  return readFrom(`/proc/${id}/cmdline`).replaceAll("\0", " ");
}

function readFrom(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // It has ended meanwhile.
  }
}
