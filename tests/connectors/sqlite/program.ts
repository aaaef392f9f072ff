import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { killAtEnd } from "../../support/workspace.ts";

/** Another program that uses a database. */
export interface Program {
  readonly child: ChildProcess;
  /** Says that it may end, and waits. */
  stop(): Promise<void>;
  /** `kill -9`. */
  kill(): Promise<void>;
}

const prelude = `
const { DatabaseSync } = require("node:sqlite");
const database = new DatabaseSync(process.env.TEST_DATABASE);
const ready = () => process.stdout.write("ready\\n");
`;

/**
 * Starts another process on a database.
 *
 * @param script JavaScript with `database` open and `ready()` to call once it is where it should be;
 * it goes on until {@link Program.stop}.
 */
export async function startProgram(path: string, script: string): Promise<Program> {
  const source = `${prelude}\nprocess.stdin.on("data", () => process.exit(0));\n${script}`;
  const child = spawn(process.execPath, ["-e", source], {
    env: { ...process.env, TEST_DATABASE: path },
    stdio: ["pipe", "pipe", "inherit"],
  });
  // A test that fails must not leave the others waiting for it.
  child.unref();
  const strike = killAtEnd(child.pid!);
  const exited = once(child, "exit").finally(strike);
  await Promise.race([
    once(child.stdout!, "data"),
    exited.then(() => {
      throw new Error("the program ended before it was ready");
    }),
  ]);
  return {
    child,
    async stop() {
      child.stdin!.write("stop\n");
      await exited;
    },
    async kill() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** Keeps a transaction that has written. */
export const writing = `
database.exec("BEGIN IMMEDIATE; INSERT INTO log VALUES ('uncommitted')");
ready();
setInterval(() => {}, 1000);
`;

/** Keeps a transaction that reads. */
export const reading = `
database.exec("BEGIN");
database.prepare("SELECT count(*) FROM log").get();
ready();
setInterval(() => {}, 1000);
`;

/** Has read something, and holds the connection. */
export const idle = `
database.prepare("SELECT count(*) FROM log").get();
ready();
setInterval(() => {}, 1000);
`;

/** Moves money between two tables, in one transaction a time, so that their sum never changes. */
export const moving = `
database.exec("PRAGMA busy_timeout = 20000");
ready();
let round = 0;
setInterval(() => {
  database.exec("BEGIN IMMEDIATE; UPDATE account SET amount = amount - 1 WHERE id = 1;" +
    "UPDATE account SET amount = amount + 1 WHERE id = 2;" +
    "INSERT INTO move SELECT max(n) + 1, randomblob(2000) FROM move; COMMIT");
}, 0);
`;
