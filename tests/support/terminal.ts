import { spawn, spawnSync } from "node:child_process";
import { shellQuote } from "../../src/core/text.ts";
import { killAtEnd } from "./workspace.ts";

/** Why no test can have a terminal here, or false. */
export const withoutTerminal: string | false =
  spawnSync("sh", ["-c", "command -v script"]).status === 0 ? false : "needs script (util-linux)";

/** What is typed, each once its question is on the screen. */
export type Answers = readonly (readonly [question: RegExp, answer: string])[];

/** Runs a command on a terminal of its own, made by `script`. */
export function commandOnTerminal(
  at: { readonly folder: string; readonly env: Readonly<Record<string, string | undefined>> },
  command: readonly string[],
  answers: Answers = [],
): Promise<{ code: number | null; screen: string }> {
  const line = command.map(shellQuote).join(" ");
  const child = spawn("script", ["-q", "-e", "-c", line, "/dev/null"], {
    cwd: at.folder,
    env: { ...at.env, TERM: "xterm" } as NodeJS.ProcessEnv,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const forget = killAtEnd(child.pid!);
  const left = [...answers];
  let screen = "";
  let seen = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    screen += text;
    const [next] = left;
    if (next === undefined || !next[0].test(screen.slice(seen))) return;
    left.shift();
    seen = screen.length;
    child.stdin.write(`${next[1]}`);
  });
  return new Promise((resolve) =>
    child.once("close", (code) => {
      forget();
      resolve({ code, screen });
    })
  );
}
