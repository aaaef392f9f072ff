import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";
import { BackupError } from "../../src/core/errors.ts";
import { local } from "../../src/storage/local/mod.ts";
import { withFaults } from "../support/faultyStorage.ts";
import { probeStorage } from "../../src/storage/probe.ts";
import { s3, type S3Options } from "../../src/storage/s3/mod.ts";
import { clouds } from "../support/clouds.ts";
import { needs } from "../support/needs.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { type BucketKind, s3Server } from "../support/s3.ts";
import { tempDir } from "../support/workspace.ts";

const o = { signal: never, runtime: testRuntime() };

/** The findings as `ability status`, and their texts. */
async function probe(storage: Storage, runtime = o.runtime) {
  const findings = await probeStorage(storage, "dbbackup-doctor-1/", { ...o, runtime });
  const text = findings.map(({ text }) => text).join("\n");
  return { findings, text, statuses: findings.map((f) => `${f.ability} ${f.status}`) };
}

async function keysOf(storage: Storage): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list("", o)) keys.push(key);
  return keys;
}

const folder = () => local.open({ path: tempDir("probe") }, o);

describe("the probe of a folder", () => {
  test("finds everything but parts and locks, and leaves nothing", async () => {
    const storage = await folder();
    const { statuses, text } = await probe(storage);
    assert.deepEqual(statuses, [
      "write ok",
      "clock ok",
      "versioning lacks",
      "read ok",
      "range ok",
      "list ok",
      "conditional-write ok",
      "sweep ok",
      "lock lacks",
      "delete ok",
    ]);
    assert.match(text, /object lock: whoever/);
    assert.deepEqual(await keysOf(storage), []);
  });

  test("stops at once when nothing can be written", async () => {
    const error = new BackupError("storage/denied", "No", { hint: "Ask." });
    const storage = await folder();
    const refusing: Storage = { ...storage, put: () => Promise.reject(error) };
    const { findings } = await probe(refusing);
    assert.deepEqual(findings.map(({ status, code }) => [status, code]), [[
      "error",
      "storage/denied",
    ]]);
    assert.match(findings[0]!.text, /No \(storage\/denied\) hint: Ask\./);
  });

  test("says what else fails, and goes on", async () => {
    const error = new BackupError("storage/denied", "No");
    const { statuses } = await probe(withFaults(await folder(), { failDelete: { error } }));
    assert.ok(statuses.includes("delete error"));
    const list = await probe(withFaults(await folder(), { failList: { error } }));
    assert.ok(list.statuses.includes("list error"));
    assert.ok(list.statuses.includes("sweep ok"));
  });

  test("notices a store that overwrites, ignores ranges or garbles", async () => {
    const storage = await folder();
    const overwriting: Storage = {
      ...storage,
      async put(key, body, how) {
        if (how.retainUntil === undefined && key.endsWith("contested")) {
          await storage.delete(key, o);
        }
        return await storage.put(key + Math.random(), body, how);
      },
    };
    const kept = { ...overwriting, stat: storage.stat };
    assert.ok((await probe(kept)).statuses.includes("conditional-write warning"));
    const rangeless: Storage = { ...storage, get: (key) => storage.get(key, o) };
    assert.ok((await probe(rangeless)).statuses.includes("range error"));
    const key = "dbbackup-doctor-1/object";
    const garbling = withFaults(await folder(), { flipGet: { key, offset: 3 } });
    assert.ok((await probe(garbling)).statuses.includes("read error"));
  });

  test("tells a clock that is off, and by how much", async () => {
    for (const [minutes, status] of [[2, "warning"], [-30, "error"]] as const) {
      const now = () => new Date(Date.now() - minutes * 60_000);
      const { statuses, text } = await probe(await folder(), testRuntime({ now }));
      assert.ok(statuses.includes(`clock ${status}`), statuses.join());
      assert.match(text, minutes > 0 ? /120 s ahead of ours/ : /1800 s behind ours/);
    }
  });
});

needs("versitygw").describe("the probe of a bucket", () => {
  async function open(kind: BucketKind, changes: Partial<S3Options> = {}) {
    const server = await s3Server();
    const bucket = await server.bucket(kind);
    const options = { ...server.options(bucket), partSize: 5 * 1024 * 1024, ...changes };
    return { server, bucket, storage: await s3.open(options, o) };
  }

  test("finds parts, and whether there are versions", async () => {
    const plain = await probe((await open("plain")).storage);
    assert.ok(plain.statuses.includes("multipart ok"), plain.text);
    assert.match(plain.text, /versions: what is deleted is gone/);
    assert.ok(!plain.statuses.some((status) => !/ (ok|lacks)$/.test(status)), plain.text);
    const { server, bucket, storage } = await open("versioned");
    assert.match((await probe(storage)).text, /keeps versions/);
    assert.deepEqual(await server.versions(bucket), []);
    assert.deepEqual(await server.uploads(bucket), []);
  });

  test("tries a lock and leaves nothing locked, whatever the destination's retention", async () => {
    const retention = { mode: "governance", days: 30 } as const;
    const { server, bucket, storage } = await open("locked", { retention });
    const { statuses, text } = await probe(storage);
    assert.ok(statuses.includes("lock ok"), text);
    assert.match(text, /locks objects/);
    assert.deepEqual(await server.versions(bucket), []);
  });

  test("says that retention cannot be had in a bucket without lock", async () => {
    const retention = { mode: "governance", days: 30 } as const;
    const { storage } = await open("plain", { retention });
    const { findings } = await probe(storage);
    assert.deepEqual(findings.map((f) => [f.ability, f.status]), [["write", "error"]]);
    assert.match(findings[0]!.text, /object ?lock/i);
  });
});

for (const cloud of clouds.filter(({ name }) => name !== "s3")) {
  needs(...cloud.needs)(
    `the probe of ${cloud.name} promises nothing that it cannot know`,
    async () => {
      const at = await cloud.setup();
      try {
        const { text, statuses } = await probe(await at.open());
        assert.ok(statuses.some((status) => /^versioning (ok|lacks)$/.test(status)), text);
        assert.ok(statuses.includes("sweep lacks"), text);
        assert.doesNotMatch(text, /^keeps versions|can be found and removed/m);
        assert.match(text, /the store .*drops them in a week/);
        assert.deepEqual(await at.names(), []);
      } finally {
        await at.proxy.close();
      }
    },
  );
}
