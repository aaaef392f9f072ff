import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** What one run of a command took. */
export interface Measured {
  readonly wallSeconds: number;
  /** User and system time of the command and of all that it started; servers are not among them. */
  readonly cpuSeconds: number;
  /** Peak resident memory of the dbbackup process, in MiB; undefined where there is none. */
  readonly peakMib: number | undefined;
}

/** Runs a shell command; fails when it fails. */
export async function measure(
  command: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Measured> {
  // The times go to a descriptor of their own: standard error is the command's.
  const script = `exec 4>&2 2>&3; TIMEFORMAT='%R %U %S'; time { { ${command}; } 2>&4; }`;
  const child = spawn("bash", ["-o", "pipefail", "-c", script], {
    env: env as Record<string, string>,
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  let [times, peakKib] = ["", 0];
  child.stdio[3]!.on("data", (text) => times += text);
  const watch = setInterval(() => peakKib = Math.max(peakKib, peakBelow(child.pid!)), 10);
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearInterval(watch);
  if (code !== 0) {
    throw new Error(`exit status ${code}: ${command.replaceAll(/:[^:@/]+@/g, ":…@")}`);
  }
  const [wallSeconds, user, system] = times.trim().split(" ").map(Number);
  return {
    wallSeconds: wallSeconds!,
    cpuSeconds: user! + system!,
    peakMib: peakKib === 0 ? undefined : peakKib / 1024,
  };
}

/** The kernel's own high-water mark of a shell's child that is dbbackup, in KiB; 0 without one. */
function peakBelow(shell: number): number {
  try {
    const children = readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8");
    const peaks = children.trim().split(" ").map((pid) => {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const isOurs = /^Name:\s+dbbackup$/m.test(status);
      return isOurs ? Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) : 0;
    });
    return Math.max(...peaks);
  } catch {
    // It has just ended, or begins.
    return 0;
  }
}

/** The middle one; of an even number, between the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}
