import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { whileAlive } from "../../src/core/alive.ts";
import { BackupError } from "../../src/core/errors.ts";

const never = new AbortController().signal;
const forEver = () => new Promise<never>(() => {});

test("work goes on for longer than the limit while the server answers", async () => {
  let asked = 0;
  const server = { label: "db", everyMs: 5, limitMs: 40, ask: async () => void asked++ };
  assert.equal(await whileAlive(() => pause(200, "done"), server, { signal: never }), "done");
  assert.ok(asked > 2, String(asked));
});

test("a server that does not answer ends the work within the limit", async () => {
  let told = 0;
  const server = {
    ...{ label: "postgres://db:5432", everyMs: 5, limitMs: 60, ask: forEver },
    onSilence: () => void told++,
  };
  let inside: AbortSignal | undefined;
  const startedAt = performance.now();
  const working = whileAlive(
    (signal) => {
      inside = signal;
      return forEver();
    },
    server,
    { signal: never },
  );
  await assert.rejects(working, (error) => {
    assert.ok(error instanceof BackupError);
    assert.equal(error.code, "connection/silent");
    assert.match(error.message, /^postgres:\/\/db:5432 has not answered for 0\.06 s$/);
    return true;
  });
  assert.ok(performance.now() - startedAt < 5_000);
  assert.equal(told, 1);
  assert.equal(inside?.aborted, true, "what it ran is told to stop");
});

test("one question without an answer is no end", async () => {
  let asked = 0;
  const ask = () => ++asked === 1 ? Promise.reject(new Error("refused")) : Promise.resolve();
  const server = { label: "db", everyMs: 5, limitMs: 1_000, ask };
  assert.equal(await whileAlive(() => pause(100, "done"), server, { signal: never }), "done");
});

test("an abort ends the waiting at once, whatever the work does", async () => {
  const reason = new Error("stop");
  const controller = new AbortController();
  const server = { label: "db", ask: forEver };
  const working = whileAlive(forEver, server, { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(working, (error) => error === reason);
  await assert.rejects(
    whileAlive(forEver, server, { signal: controller.signal }),
    (error) => error === reason,
  );
});

test("the work's own error comes through, and nothing is asked afterwards", async () => {
  let asked = 0;
  const server = { label: "db", everyMs: 5, ask: async () => void asked++ };
  const failure = new Error("no such table");
  await assert.rejects(
    whileAlive(() => Promise.reject(failure), server, { signal: never }),
    (error) => error === failure,
  );
  await pause(50);
  assert.equal(asked, 0);
});
