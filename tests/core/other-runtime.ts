/**
 * Runs children the portable way, for a runtime without the calls of Bun's own: prints what a test
 * expects, see other-runtime.test.ts.
 */
import { type Bytes, collect, collectText } from "../../src/core/bytes.ts";
import { childOutput, childText } from "../../src/core/child.ts";
import { zstd } from "../../src/codecs/zstd.ts";
import { openWideInput, openWideOutput } from "../../src/core/wide-pipe.ts";
import { never, testRuntime } from "../support/runtime.ts";

const o = { runtime: testRuntime(), signal: never };

/** 9 MB, in one buffer that is used again. */
// deno-lint-ignore require-await
async function* input(): Bytes {
  const buffer = new Uint8Array(300_001);
  for (let round = 0; round < 30; round++) {
    buffer.fill(round);
    yield buffer;
  }
}

const sh = (script: string) => ({ command: "sh", args: ["-c", script] });
const codec = zstd.open({ level: 3 });
const zeros = await collect(childOutput(sh("head -c 5000000 /dev/zero"), o));

console.log(JSON.stringify({
  isWide: openWideInput() !== undefined || openWideOutput() !== undefined,
  fed: (await collectText(childOutput({ ...sh("sha256sum"), input: input() }, o))).slice(0, 64),
  fedShort: (await childText({ ...sh("sha256sum"), input: input() }, o)).stdout.slice(0, 64),
  left: (await childText({ ...sh("exit 0"), input: input() }, o)).stdout,
  read: zeros.byteLength,
  decoded: (await collect(codec.decode(codec.encode(input())))).byteLength,
}));
