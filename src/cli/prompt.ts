import process from "node:process";

/** Options of {@link askOnTerminal}. */
export interface AskOptions {
  /** True for passwords: what is typed is not shown. */
  readonly isHidden: boolean;
  readonly signal: AbortSignal;
}

/**
 * Asks on standard error and reads one line from the terminal.
 *
 * @throws the signal's reason
 */
export async function askOnTerminal(question: string, o: AskOptions): Promise<string> {
  const { stdin, stderr } = process;
  o.signal.throwIfAborted();
  // Before the question, or what is typed at once would still be shown.
  if (o.isHidden) stdin.setRawMode(true);
  stderr.write(question);
  stdin.setEncoding("utf8");
  stdin.resume();
  try {
    return await readLine(o);
  } finally {
    if (o.isHidden) {
      stdin.setRawMode(false);
      stderr.write("\n");
    }
    stdin.pause();
  }
}

function readLine({ isHidden, signal }: AskOptions): Promise<string> {
  const { stdin } = process;
  return new Promise((resolve, reject) => {
    let line = "";
    const onData = (text: string) => {
      for (const key of text) {
        if (key === "\r" || key === "\n") return finish(() => resolve(line));
        // In raw mode the terminal leaves its keys to us: ctrl-C, ctrl-D, ctrl-U, backspace.
        if (isHidden && key === "\x03") return process.kill(process.pid, "SIGINT");
        if (isHidden && key === "\x04") return finish(() => resolve(line));
        if (isHidden && key === "\x15") line = "";
        else if (isHidden && (key === "\x7f" || key === "\b")) {
          line = [...line].slice(0, -1).join("");
        } else line += key;
      }
    };
    const onEnd = () => finish(() => resolve(line));
    const onAbort = () => finish(() => reject(signal.reason));
    function finish(settle: () => void): void {
      stdin.off("data", onData);
      stdin.off("end", onEnd);
      signal.removeEventListener("abort", onAbort);
      settle();
    }
    stdin.on("data", onData);
    stdin.once("end", onEnd);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
