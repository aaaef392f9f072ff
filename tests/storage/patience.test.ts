import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";
import { type BackupError, hasCode } from "../../src/core/errors.ts";
import { briefPatience, retryPolicyOf } from "../../src/core/retry.ts";
import type { Runtime } from "../../src/core/runtime.ts";
import { openAzure } from "../../src/storage/azure/mod.ts";
import { openGcs } from "../../src/storage/gcs/mod.ts";
import { openS3 } from "../../src/storage/s3/mod.ts";
import { createWaiting } from "../../src/storage/waiting.ts";
import { clouds } from "../support/clouds.ts";
import { needs } from "../support/needs.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { contentOf, inChunks, on, withPlace } from "./faults.ts";

const o = { signal: never };

/** A log of which only warnings and what is told at level info are kept. */
function listening(): { runtime: Runtime; lines: string[] } {
  const lines: string[] = [];
  const note = (text: string, properties: Record<string, unknown>) =>
    lines.push(text.replaceAll(/\{(\w+)\}/g, (_, name) => String(properties[name])));
  const runtime = testRuntime();
  const log = { warn: note, info: note, debug: () => {} } as unknown as Runtime["log"];
  return { runtime: { ...runtime, log }, lines };
}

test("a store is tried for five minutes, and for as long as is said, however often that is", () => {
  assert.deepEqual(retryPolicyOf(undefined).totalMs, 300_000);
  assert.deepEqual(retryPolicyOf({ retryMs: 3_600_000 }).totalMs, 3_600_000);
  assert.equal(retryPolicyOf(undefined).attempts, Infinity);
});

for (const cloud of clouds) {
  needs(...cloud.needs)(
    `${cloud.name}: an upload outlives many refused connections`,
    () =>
      withPlace(cloud, async (place) => {
        const retry = { attempts: Infinity, baseMs: 1, maxMs: 5, totalMs: 60_000 };
        const storage = await place.open({ retry });
        // Far more than the ten tries that used to be all.
        place.proxy.fail(...on("part", { kind: "refuse" }, 2, 60)(cloud));
        const content = contentOf(cloud);
        const { bytes } = await storage.put("key", inChunks(content), o);
        assert.equal(bytes, content.byteLength);
        assert.equal(place.proxy.struck, 60);
        await storage.close();
      }),
  );
}

/** Each kind of store, at an endpoint. */
const stores: Readonly<Record<string, (endpoint: string, runtime: Runtime) => Promise<Storage>>> = {
  s3: (endpoint, runtime) =>
    openS3({ bucket: "b", endpoint, accessKeyId: "AK", secretAccessKey: "x" }, {
      runtime,
      patience: { ...briefPatience, retryMs: 500 },
    }),
  gcs: (apiEndpoint, runtime) =>
    openGcs({ bucket: "b", apiEndpoint }, {
      runtime,
      patience: { ...briefPatience, retryMs: 500 },
    }),
  azure: (endpoint, runtime) =>
    openAzure({ container: "c", accountName: "a", accountKey: "a2V5", endpoint }, {
      runtime,
      patience: { ...briefPatience, retryMs: 500 },
    }),
};

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === "object" && address !== null ? address.port : 1;
}

for (const [name, open] of Object.entries(stores)) {
  describe(`${name}, to somebody who looks,`, () => {
    test("is told as not answering at once, and in plain words", async () => {
      const { runtime, lines } = listening();
      const storage = await open(`http://127.0.0.1:${await closedPort()}`, runtime);
      await assert.rejects(storage.stat("key", o), (error: BackupError) => {
        assert.equal(error.code, "storage/unavailable");
        assert.match(error.message, /^Cannot look at ".*key": the connection is refused$/);
        return true;
      });
      assert.equal(lines.length, 1);
      assert.match(lines[0]!, /^Waiting for \w+:\/\/.*, for up to 0\.\ds more: Cannot look at/);
      await storage.close();
    });

    test("is told as silent while it is", async () => {
      const { runtime, lines } = listening();
      const server = createServer(() => {});
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 1;
      const storage = await open(`http://127.0.0.1:${port}`, runtime);
      const looking = new AbortController();
      const look = storage.stat("key", { signal: looking.signal });
      while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.match(lines[0]!, /^Waiting for \w+:\/\/.*, which has not answered yet$/);
      looking.abort(new Error("enough"));
      await assert.rejects(look, { message: "enough" });
      server.close();
    });

    test("whose name nobody knows is told so", async () => {
      const { runtime } = listening();
      const storage = await open("https://no-such-host.invalid", runtime);
      await assert.rejects(storage.stat("key", o), (error) => {
        assert.ok(hasCode(error, "storage/unavailable"), String(error));
        assert.match(error.message, /the name of its host is unknown|name service/);
        return true;
      });
      await storage.close();
    });
  });
}

test("an outage of a job's store is told once it lasts, seldom while it does, and at its end", () => {
  const { runtime, lines } = listening();
  const now = performance.now;
  let ms = 0;
  performance.now = () => ms;
  try {
    const { told } = createWaiting("s3://b", { runtime });
    const error = new Error("the connection is refused");
    for (ms = 0; ms <= 150_000; ms += 1_000) told.onRetry(error, 1_000, 300_000 - ms);
    told.onAnswer();
    told.onRetry(error, 10, 300_000);
    told.onAnswer();
  } finally {
    performance.now = now;
  }
  assert.deepEqual(lines, [
    "Waiting for s3://b, for up to 4m 57s more: the connection is refused",
    "Waiting for s3://b, for up to 3m 57s more: the connection is refused",
    "Waiting for s3://b, for up to 2m 57s more: the connection is refused",
    "s3://b answers again",
  ]);
});
