import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { closeSync, existsSync, readdirSync, readlinkSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { bun } from "../../src/core/bun.ts";
import { bytesOf, collectText } from "../../src/core/bytes.ts";
import { childOutput, childText } from "../../src/core/child.ts";
import { openWideInput, openWideOutput, type WideOutput } from "../../src/core/wide-pipe.ts";
import { never, testRuntime } from "../support/runtime.ts";

const o = { runtime: testRuntime(), signal: never };

/** What a shell script writes into a wide pipe. */
async function piped(script: string): Promise<WideOutput> {
  const pipe = openWideOutput()!;
  const child = spawn("sh", ["-c", script], { stdio: ["ignore", pipe.childFd, "inherit"] });
  await new Promise((resolve) => child.once("spawn", resolve));
  closeSync(pipe.childFd);
  return pipe;
}

/** The pipes that this process holds an end of. */
function openPipes(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    // The folder's own descriptor is gone by now.
    const target = existsSync(`/proc/self/fd/${fd}`) ? readlinkSync(`/proc/self/fd/${fd}`) : "";
    return target.startsWith("pipe:") ? [target] : [];
  }).sort();
}

const isHere = process.platform === "linux" && bun !== undefined;

(isHere ? describe : describe.skip)("a wide pipe", () => {
  test("brings every byte, however the writer cuts them and however slow the reader is", async () => {
    const pipe = await piped("seq 1 400000; head -c 3000000 /dev/zero; sleep 0.05; printf end");
    const hash = createHash("sha256");
    let chunks = 0;
    for await (const chunk of pipe.bytes) {
      if (chunks++ % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      hash.update(chunk);
    }
    const expected = createHash("sha256");
    for (let number = 1; number <= 400_000; number++) expected.update(`${number}\n`);
    expected.update(new Uint8Array(3_000_000)).update("end");
    assert.equal(hash.digest("hex"), expected.digest("hex"));
  });

  test("brings what there is, without waiting for more", async () => {
    const pipe = await piped("printf first; sleep 5");
    for await (const chunk of pipe.bytes) {
      assert.equal(new TextDecoder().decode(chunk), "first");
      break;
    }
  });

  test("gathers what is written in small pieces", async () => {
    const pipe = await piped("dd if=/dev/zero bs=4096 count=5000 2>/dev/null");
    let [bytes, chunks] = [0, 0];
    for await (const chunk of pipe.bytes) {
      bytes += chunk.byteLength;
      chunks++;
    }
    assert.equal(bytes, 5000 * 4096);
    // With nothing gathered there would be a chunk for each.
    assert.ok(chunks < 2500, `${chunks} chunks`);
  });

  test("lets timers and everything else go on while a consumer never waits", async () => {
    const pipe = await piped("head -c 50000000 /dev/zero");
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    for await (const _ of pipe.bytes);
    clearInterval(timer);
    assert.ok(ticks > 0);
  });

  test("is closed at its end, when the reader stops, and by hand", async () => {
    const before = openPipes();
    for await (const _ of (await piped("printf all")).bytes);
    for await (const _ of (await piped("printf some; sleep 1")).bytes) break;
    const third = await piped("sleep 1");
    third.close();
    third.close();
    await third.closed;
    assert.deepEqual(openPipes(), before);
  });
});

(isHere ? describe : describe.skip)("a wide pipe into a child", () => {
  async function fed(script: string) {
    const pipe = openWideInput()!;
    const child = spawn("sh", ["-c", script], { stdio: [pipe.childFd, "pipe", "inherit"] });
    let output = "";
    child.stdout!.on("data", (text) => output += text);
    const closed = new Promise<string>((resolve) => child.once("close", () => resolve(output)));
    await new Promise((resolve) => child.once("spawn", resolve));
    closeSync(pipe.childFd);
    return { pipe, closed };
  }

  test("takes every byte, though its buffer is used again and its reader is slow", async () => {
    const { pipe, closed } = await fed("sleep 0.1; sha256sum");
    const expected = createHash("sha256");
    const buffer = new Uint8Array(700_001);
    for (let round = 0; round < 20; round++) {
      buffer.fill(round);
      expected.update(buffer);
      await pipe.write(buffer);
      assert.equal(pipe.isBroken, false);
    }
    pipe.close();
    assert.equal((await closed).slice(0, 64), expected.digest("hex"));
  });

  test("is broken once its reader is gone, and takes no more", async () => {
    const { pipe, closed } = await fed("exit 0");
    await closed;
    await pipe.write(new Uint8Array(5_000_000));
    assert.equal(pipe.isBroken, true);
    pipe.close();
  });

  test("that is closed ends a write that waits for room", async () => {
    const { pipe } = await fed("sleep 1");
    const writing = pipe.write(new Uint8Array(5_000_000));
    setTimeout(() => pipe.close(), 20);
    await writing;
    assert.equal(pipe.isBroken, true);
  });
});

describe("a child's output", () => {
  test("ends with the last that holds it, which may not be the child", async () => {
    const spec = { command: "sh", args: ["-c", "(sleep 0.3; printf late) & printf early,"] };
    assert.equal(await collectText(childOutput(spec, o)), "early,late");
    assert.equal((await childText(spec, o)).stdout, "early,late");
  });

  (isHere ? test : test.skip)(
    "leaves no descriptor open, whether it was read, left or never began",
    async () => {
      const script = (text: string) => ({ command: "sh", args: ["-c", text] });
      const rounds = async () => {
        await collectText(childOutput(script("printf all"), o));
        await assert.rejects(collectText(childOutput(script("exit 3"), o)));
        const fed = { ...script("head -c 5"), input: bytesOf(new Uint8Array(9_000_000)) };
        await collectText(childOutput(fed, o));
        for await (const _ of childOutput(script("printf some; sleep 60"), o)) break;
        await assert.rejects(collectText(childOutput({ command: "no-such-tool", args: [] }, o)));
        const aborted = { ...o, signal: AbortSignal.abort(new Error("stop")) };
        await assert.rejects(collectText(childOutput(script("printf x"), aborted)), /stop/);
      };
      await rounds();
      const before = openPipes();
      await rounds();
      assert.deepEqual(openPipes(), before);
    },
  );
});
