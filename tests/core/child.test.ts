import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { type Bytes, bytesOf, collectText } from "../../src/core/bytes.ts";
import { ChildError, childOutput, type ChildSpec, childText } from "../../src/core/child.ts";
import { BackupError, hasCode } from "../../src/core/errors.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";

const o = { runtime: testRuntime(), signal: never };
const sh = (script: string, more: Partial<ChildSpec> = {}): ChildSpec => ({
  command: "sh",
  args: ["-c", script],
  ...more,
});
const text = (spec: ChildSpec) => collectText(childOutput(spec, o));

/** Whether a process is there; one that nobody has collected yet is not. */
function isRunning(pid: string): boolean {
  const status = `/proc/${pid}/status`;
  return existsSync(status) && !/^State:\s+[ZX]/m.test(readFileSync(status, "utf8"));
}

async function untilGone(pid: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (isRunning(pid) && Date.now() < deadline) await sleep(10);
  assert.equal(isRunning(pid), false, `${pid} is gone`);
}

/** Waits for a file that a child writes. */
async function contentOf(file: string): Promise<string> {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) {
    const content = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
    if (content !== "") return content;
    await sleep(5);
  }
  throw new Error(`${file} stays empty`);
}

describe("a child's end", () => {
  test("is success only with status 0, though every byte came", async () => {
    assert.equal(await text(sh("printf all")), "all");
    let seen = "";
    await assert.rejects(
      (async () => {
        for await (const chunk of childOutput(sh("printf all; echo 'no: luck' >&2; exit 3"), o)) {
          seen += new TextDecoder().decode(chunk);
        }
      })(),
      (error) => {
        assert.ok(error instanceof ChildError);
        assert.deepEqual(error.exit, { code: 3, signal: null, stderr: "no: luck" });
        assert.equal(error.message, "sh exited with status 3: no: luck");
        return true;
      },
    );
    assert.equal(seen, "all");
  });

  test("is waited for after its output is closed", async () => {
    await assert.rejects(
      text(sh("printf all; exec >&-; sleep 0.2; exit 4")),
      (error) => error instanceof ChildError && error.exit.code === 4,
    );
  });

  test("by a signal is told as that", async () => {
    await assert.rejects(text(sh("printf some; kill -KILL $$")), (error) => {
      assert.ok(error instanceof ChildError);
      assert.deepEqual([error.exit.code, error.exit.signal], [null, "SIGKILL"]);
      assert.match(error.message, /^sh died of SIGKILL/);
      return true;
    });
  });

  test("keeps the last 16 KiB of standard error, with secrets redacted", async () => {
    const runtime = testRuntime();
    runtime.secrets.hide("canary-password");
    const script = "seq 1 9999 >&2; echo 'url=x:canary-password@h' >&2; exit 1";
    await assert.rejects(
      collectText(childOutput(sh(script), { runtime, signal: never })),
      (error) => {
        assert.ok(error instanceof ChildError);
        assert.ok(error.exit.stderr.length <= 16 * 1024);
        assert.ok(error.exit.stderr.endsWith("9999\nurl=x:[redacted]@h"));
        return true;
      },
    );
  });
});

describe("a program that cannot be started", () => {
  for (
    const [what, spec] of Object.entries({
      "is missing from PATH": { command: "no-such-program-here", args: [] },
      "is missing from its folder": { command: "/nowhere/tool", args: [] },
    })
  ) {
    test(`because it ${what} is dump/tool-missing, by name`, async () => {
      for (const run of [text, (one: ChildSpec) => childText(one, o)]) {
        await assert.rejects(
          run(spec),
          (error) =>
            hasCode(error, "dump/tool-missing") && error.message.includes(`"${spec.command}"`) &&
            /is not installed/.test(error.message),
        );
      }
    });
  }

  test("because it may not be executed says so", async () => {
    await assert.rejects(
      text({ command: "/etc/passwd", args: [] }),
      (error) => hasCode(error, "dump/tool-missing") && /cannot be started/.test(error.message),
    );
  });

  test("leaves no secret behind", async () => {
    const folder = tempDir("secrets");
    const runtime = testRuntime({ tempDir: folder });
    const spec = { command: "no-such-program-here", args: [], secretFiles: ["x"] };
    await assert.rejects(childText(spec, { runtime, signal: never }));
    assert.deepEqual(readdirSync(folder), []);
  });
});

describe("the stall limit", () => {
  test("ends a child that sends nothing", async () => {
    const startedAt = performance.now();
    await assert.rejects(
      text(sh("printf some; sleep 60", { stallMs: 200 })),
      (error) => hasCode(error, "dump/stalled") && /sent nothing for 0.2 s/.test(error.message),
    );
    assert.ok(performance.now() - startedAt < 20_000);
  });

  test("ends a child that has closed its output and does not exit", () =>
    assert.rejects(
      text(sh("printf some; exec >&- 2>&-; sleep 60", { stallMs: 200 })),
      (error) => hasCode(error, "dump/stalled"),
    ));

  test("does not count the time in which the consumer holds the child back", async () => {
    let bytes = 0;
    const script = "head -c 1000000 /dev/zero";
    for await (const chunk of childOutput(sh(script, { stallMs: 1_000 }), o)) {
      if (bytes === 0) await sleep(2_500);
      bytes += chunk.byteLength;
    }
    assert.equal(bytes, 1_000_000);
  });

  test("does not end a child that goes on sending", async () => {
    const script = "for i in 1 2 3 4 5 6; do printf $i; sleep 0.1; done";
    assert.equal(await text(sh(script, { stallMs: 3_000 })), "123456");
  });
});

describe("a child whose server gives no sign of life", () => {
  const alive = {
    ...{ label: "db:5432", everyMs: 20, limitMs: 200 },
    ask: () => new Promise<never>(() => {}),
  };
  const silent = (error: unknown) =>
    hasCode(error, "connection/silent") &&
    /^db:5432 has not answered for 0.2 s$/.test(error.message);

  test("is killed with its own children, long before its own limits", async () => {
    const file = path.join(tempDir("silent"), "pid");
    const script = `trap '' TERM; sh -c 'echo $$ >${file}; exec sleep 60' & printf some; wait`;
    await assert.rejects(text(sh(script, { alive })), silent);
    await untilGone(await contentOf(file));
  });

  test("is killed while it is fed, too", () =>
    assert.rejects(text(sh("exec sleep 60", { alive, input: endless() })), silent));

  test("goes on where the server answers", async () => {
    let asked = 0;
    const answering = { ...alive, ask: async () => void asked++ };
    assert.equal(await text(sh("sleep 0.6; printf done", { alive: answering })), "done");
    assert.ok(asked > 1, String(asked));
  });

  test("is not asked for while the consumer holds the child back", async () => {
    let asked = 0;
    const answering = { ...alive, ask: async () => void asked++ };
    let before = -1;
    const script = "head -c 1000000 /dev/zero";
    for await (const _ of childOutput(sh(script, { alive: answering }), o)) {
      if (before >= 0) continue;
      before = asked;
      await sleep(300);
      assert.equal(asked, before);
    }
  });
});

async function* endless(): Bytes {
  for (;;) {
    yield new Uint8Array(65_536);
    await sleep(5);
  }
}

describe("what a child is given", () => {
  test("secret files are descriptors 3 and up, readable, of mode 600 and without a name", async () => {
    const folder = tempDir("secrets");
    const runtime = testRuntime({ tempDir: folder });
    const script = "cat /dev/fd/3; cat /dev/fd/4; stat -L -c ' %a %h' /dev/fd/3";
    const { stdout } = await childText(sh(script, { secretFiles: ["one ", "two"] }), {
      runtime,
      signal: never,
    });
    assert.equal(stdout, "one two 600 0\n");
    assert.deepEqual(readdirSync(folder), []);
  });

  test("secret files have no name even while the child runs", async () => {
    const folder = tempDir("secrets");
    const runtime = testRuntime({ tempDir: folder });
    const output = childOutput(sh("cat /dev/fd/3; sleep 60", { secretFiles: ["canary"] }), {
      runtime,
      signal: never,
    });
    for await (const chunk of output) {
      assert.equal(new TextDecoder().decode(chunk), "canary");
      assert.deepEqual(readdirSync(folder), []);
      break;
    }
  });

  test("the environment has only what is on the list, and what the spec adds", async () => {
    const runtime = testRuntime({
      env: { LC_ALL: "C", PGPASSWORD: "canary", AWS_SECRET_ACCESS_KEY: "canary", TZ: "UTC" },
    });
    const { stdout } = await childText(sh("env", { env: { ADDED: "yes" } }), {
      runtime,
      signal: never,
    });
    assert.match(stdout, /^LC_ALL=C$/m);
    assert.match(stdout, /^TZ=UTC$/m);
    assert.match(stdout, /^ADDED=yes$/m);
    assert.doesNotMatch(stdout, /canary/);
  });

  test("the working directory is the spec's", async () => {
    const folder = path.join(tempDir(), "here");
    mkdirSync(folder);
    assert.equal(await text(sh("pwd", { cwd: folder })), `${folder}\n`);
  });

  test("standard input is empty unless there is some", async () => {
    assert.equal(await text({ command: "cat", args: [] }), "");
  });
});

describe("standard input", () => {
  /** Chunks out of one buffer, overwritten when the next is asked for, as producers do. */
  async function* reused(content: Uint8Array, size: number): Bytes {
    const buffer = new Uint8Array(size);
    for (let at = 0; at < content.byteLength; at += size) {
      const piece = content.subarray(at, at + size);
      buffer.set(piece);
      yield buffer.subarray(0, piece.byteLength);
      buffer.fill(0xee);
      await Promise.resolve();
    }
  }

  test("reaches the child byte by byte, though its buffers are reused", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 70_000 }), async (size) => {
        const content = Uint8Array.from({ length: 200_000 }, (_, at) => (at * 7 + (at >> 8)) & 255);
        const chunks: Uint8Array[] = [];
        const spec = { command: "cat", args: [], input: reused(content, size) };
        for await (const chunk of childOutput(spec, o)) chunks.push(new Uint8Array(chunk));
        const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
        chunks.reduce((at, chunk) => (whole.set(chunk, at), at + chunk.byteLength), 0);
        assert.deepEqual(whole, content);
      }),
      { numRuns: 10 },
    ));

  test("that fails fails the child, with its own error and without ending the process", async () => {
    const failure = new BackupError("verification/digest", "differs");
    async function* failing(): Bytes {
      yield new Uint8Array(10);
      await sleep(1);
      throw failure;
    }
    const script = "trap 'sleep 0.2; exit 0' TERM; cat >/dev/null; sleep 0.2";
    await assert.rejects(childText(sh(script, { input: failing() }), o), failure);
  });

  test("that a child does not want is told by the child's own status", async () => {
    const input = () => reused(new Uint8Array(5_000_000), 65_536);
    await assert.rejects(
      childText(sh("echo 'cannot read this' >&2; exit 7", { input: input() }), o),
      (error) => error instanceof ChildError && error.exit.code === 7,
    );
  });

  test("that a child does not need is read on, for the checks at its end", async () => {
    const damage = new BackupError("verification/digest", "differs");
    async function* input(failure?: Error): Bytes {
      yield* reused(new Uint8Array(5_000_000), 65_536);
      if (failure !== undefined) throw failure;
    }
    const script = "head -c 10 >/dev/null";
    assert.equal((await childText(sh(script, { input: input() }), o)).stdout, "");
    await assert.rejects(childText(sh(script, { input: input(damage) }), o), damage);
  });

  test("that a child's own children hold and nobody reads is let go of when the child ends", async () => {
    const script = "sleep 60 <&0 >/dev/null 2>&1 & exit 0";
    const startedAt = performance.now();
    const input = bytesOf(new Uint8Array(20_000_000));
    await collectText(childOutput(sh(script, { input }), o));
    assert.ok(performance.now() - startedAt < 30_000);
  });

  test("and output flow at the same time", async () => {
    const input = reused(new Uint8Array(3_000_000), 65_536);
    let bytes = 0;
    for await (const chunk of childOutput({ command: "cat", args: [], input }, o)) {
      bytes += chunk.byteLength;
    }
    assert.equal(bytes, 3_000_000);
  });
});

describe("stopping a child", () => {
  /** A shell with a grandchild, whose ids are in the files. */
  function family(trap = "") {
    const folder = tempDir("family");
    const [parent, grandchild] = ["parent", "grandchild"].map((name) => path.join(folder, name));
    const script =
      `${trap} echo $$ >'${parent}'; sleep 60 & echo $! >'${grandchild}'; printf x; wait`;
    return { script, pids: () => Promise.all([contentOf(parent!), contentOf(grandchild!)]) };
  }

  test("by abort ends it and its own children, and throws the reason", async () => {
    const { script, pids } = family();
    const controller = new AbortController();
    const reason = new BackupError("interrupted/signal", "stopped");
    const running = collectText(childOutput(sh(script), { ...o, signal: controller.signal }));
    running.catch(() => {});
    const ids = await pids();
    controller.abort(reason);
    await assert.rejects(running, reason);
    for (const pid of ids) await untilGone(pid);
  });

  test("by ending the iteration ends it and its own children", async () => {
    const { script, pids } = family();
    let ids: string[] = [];
    for await (const _ of childOutput(sh(script), o)) {
      ids = await pids();
      break;
    }
    assert.equal(ids.length, 2);
    for (const pid of ids) await untilGone(pid);
  });

  test("that ignores SIGTERM by abort takes SIGKILL after a while", async () => {
    const { script, pids } = family("trap '' TERM;");
    const controller = new AbortController();
    const reason = new Error("stop");
    const running = collectText(childOutput(sh(script), { ...o, signal: controller.signal }));
    running.catch(() => {});
    const ids = await pids();
    controller.abort(reason);
    await assert.rejects(running, reason);
    for (const pid of ids) await untilGone(pid);
  });

  test("before it starts starts nothing", async () => {
    const reason = new Error("stop");
    const file = path.join(tempDir(), "started");
    const signal = AbortSignal.abort(reason);
    await assert.rejects(childText(sh(`touch '${file}'`), { ...o, signal }), reason);
    assert.equal(existsSync(file), false);
  });
});

describe("a short command", () => {
  test("gives what it printed on both", async () => {
    assert.deepEqual(await childText(sh("echo out; echo err >&2"), o), {
      stdout: "out\n",
      stderr: "err",
    });
  });

  test("that prints more than it may is an error, and is stopped", () =>
    assert.rejects(childText(sh("yes"), { ...o, limitBytes: 1000 }), RangeError));

  test("reads input", async () => {
    const { stdout } = await childText({ command: "cat", args: [], input: bytesOf("hi") }, o);
    assert.equal(stdout, "hi");
  });
});
