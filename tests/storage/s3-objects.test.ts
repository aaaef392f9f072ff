import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { Storage } from "../../src/contracts/storage.ts";
import { type Bytes, collect } from "../../src/core/bytes.ts";
import { hasCode } from "../../src/core/errors.ts";
import { openS3, type S3Options } from "../../src/storage/s3/mod.ts";
import { needs } from "../support/needs.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { type BucketKind, type S3Server, s3Server } from "../support/s3.ts";

const test = needs("versitygw");
const mebibyte = 1024 * 1024;
const quick = { attempts: 2, baseMs: 1, maxMs: 1, totalMs: 5_000 };
const o = { signal: never };

/** A destination in a new bucket, with parts of the smallest size that stores take. */
async function open(
  kind: BucketKind = "plain",
  changes: Partial<S3Options> = {},
  now?: () => Date,
): Promise<{ server: S3Server; bucket: string; storage: Storage }> {
  const server = await s3Server();
  const bucket = await server.bucket(kind);
  const options = { ...server.options(bucket), partSize: 5 * mebibyte, ...changes };
  const runtime = testRuntime(now === undefined ? {} : { now });
  return { server, bucket, storage: await openS3(options, { runtime, policy: quick }) };
}

/** Bytes that differ from part to part. */
async function* body(length: number, error?: Error): Bytes {
  const chunk = new Uint8Array(1_000_003);
  for (let at = 0; at < length; at += chunk.byteLength) {
    chunk.fill(at % 251);
    yield chunk.subarray(0, Math.min(chunk.byteLength, length - at));
  }
  if (error !== undefined) throw error;
}

for (const length of [5 * mebibyte, 5 * mebibyte + 1, 10 * mebibyte, 16_777_259]) {
  test(`an object of ${length} bytes comes back as it was put`, async () => {
    const { server, bucket, storage } = await open();
    const info = await storage.put("big", body(length), o);
    assert.equal(info.bytes, length);
    assert.equal((await storage.stat("big", o))?.bytes, length);
    const limit = length + 1;
    const [found, wanted] = [
      await collect(storage.get("big", o), limit),
      await collect(body(length), limit),
    ];
    assert.ok(found.every((byte, index) => byte === wanted[index]) && found.length === length);
    assert.deepEqual(await server.uploads(bucket), []);
  });
}

test("a put in parts never overwrites, and is refused before it sends any", async () => {
  const { storage } = await open();
  await storage.put("taken", new Uint8Array([1]), o);
  let asked = 0;
  const counted = async function* () {
    for await (const chunk of body(20 * mebibyte)) {
      asked++;
      yield chunk;
    }
  };
  await assert.rejects(storage.put("taken", counted(), o), (e) => hasCode(e, "storage/exists"));
  assert.ok(asked < 8, `${asked} chunks`);
  assert.equal((await storage.stat("taken", o))?.bytes, 1);
});

test("one of two puts in parts wins, and the other leaves nothing", async () => {
  const { server, bucket, storage } = await open();
  const puts = [6, 7].map((n) => storage.put("contested", body(n * mebibyte), o));
  const results = await Promise.allSettled(puts);
  const won = results.flatMap((r) => r.status === "fulfilled" ? [r.value.bytes] : []);
  assert.equal(won.length, 1);
  assert.equal((await storage.stat("contested", o))?.bytes, won[0]);
  for (const r of results) {
    if (r.status === "rejected") assert.ok(hasCode(r.reason, "storage/exists"), String(r.reason));
  }
  assert.deepEqual(await server.uploads(bucket), []);
});

test("a failed or aborted put leaves no upload behind", async () => {
  const { server, bucket, storage } = await open();
  const failure = new Error("the dump died");
  await assert.rejects(
    storage.put("failed", body(12 * mebibyte, failure), o),
    (error) => error === failure,
  );
  const controller = new AbortController();
  const reason = new Error("stop");
  const aborting = async function* () {
    yield* body(12 * mebibyte);
    controller.abort(reason);
    await sleep(60_000, undefined, { signal: never, ref: false });
  };
  await assert.rejects(
    storage.put("aborted", aborting(), { signal: controller.signal }),
    (error) => error === reason,
  );
  assert.deepEqual(await server.uploads(bucket), []);
  assert.equal(await storage.stat("failed", o), undefined);
});

test("sweep aborts the uploads under its prefix that a crash left, and no others", async () => {
  const { server, bucket, storage } = await open("plain", { prefix: "backups" });
  const start = async (Key: string) => {
    const { UploadId } = await server.client.send(
      new CreateMultipartUploadCommand({ Bucket: bucket, Key }),
    );
    const part = { Bucket: bucket, Key, UploadId, PartNumber: 1, Body: new Uint8Array(10) };
    await server.client.send(new UploadPartCommand(part));
  };
  for (const key of ["backups/job/run1/dump", "backups/job2/run/dump", "other/job/dump"]) {
    await start(key);
  }
  const anHourAgo = new Date(Date.now() - 3_600_000);
  assert.equal(await storage.sweep("job/", { ...o, before: anHourAgo }), 0, "may be under way");
  assert.equal(await storage.sweep("job/", o), 1);
  assert.deepEqual(await server.uploads(bucket), ["backups/job2/run/dump", "other/job/dump"]);
  assert.equal(await storage.sweep("", o), 1);
  assert.deepEqual(await server.uploads(bucket), ["other/job/dump"]);
});

test("deleting in a bucket with versions leaves none, nor a marker", async () => {
  const { server, bucket, storage } = await open("versioned");
  const { version } = await storage.put("job/one", new Uint8Array([1]), o);
  assert.ok(version);
  await storage.put("job/one-more", new Uint8Array([2]), o);
  // Somebody else's second version, and plain DELETE, which only hides both.
  const object = { Bucket: bucket, Key: "job/one" };
  await server.client.send(new PutObjectCommand({ ...object, Body: new Uint8Array([3]) }));
  await server.client.send(new DeleteObjectCommand(object));
  assert.equal(await storage.stat("job/one", o), undefined);
  assert.deepEqual(await collect(storage.get("job/one", { ...o, version })), new Uint8Array([1]));
  await storage.delete("job/one", o);
  assert.deepEqual(await server.versions(bucket), [{ key: "job/one-more", isMarker: false }]);
});

test("deleting one version leaves the others", async () => {
  const { server, bucket, storage } = await open("versioned");
  const { version } = await storage.put("x", new Uint8Array([1]), o);
  await storage.delete("x", { ...o, version: version! });
  assert.equal(await storage.stat("x", o), undefined);
  assert.deepEqual(await server.versions(bucket), []);
});

test("a locked object is not deleted, not hidden, and its date is told", async () => {
  const retention = { mode: "governance", days: 3 } as const;
  const { server, bucket, storage } = await open("locked", { retention });
  const small = await storage.put("job/small", new Uint8Array([1]), o);
  const large = await storage.put("job/large", body(6 * mebibyte), o);
  const inThreeDays = Date.now() + 3 * 86_400_000;
  for (const { key, retainedUntil } of [small, large]) {
    assert.ok(Math.abs(retainedUntil!.getTime() - inThreeDays) < 60_000);
    assert.ok(
      Math.abs((await storage.stat(key, o))!.retainedUntil!.getTime() - inThreeDays) < 60_000,
    );
    await assert.rejects(storage.delete(key, o), (error) => {
      assert.ok(hasCode(error, "storage/retained"), String(error));
      assert.match(error.message, new RegExp(retainedUntil!.toISOString().slice(0, 10)));
      return true;
    });
  }
  assert.equal((await server.versions(bucket)).filter(({ isMarker }) => isMarker).length, 0);
  assert.deepEqual(await keysOf(storage), ["job/large", "job/small"]);
});

test("a lock that only the store knows of is told as one", async () => {
  let now = Date.now();
  const retention = { mode: "governance", days: 1 } as const;
  const { server, bucket, storage } = await open("locked", { retention }, () => new Date(now));
  await storage.put("kept", new Uint8Array(1), o);
  // As for credentials that may not see locks: by our clock there is none.
  now += 2 * 86_400_000;
  await assert.rejects(storage.delete("kept", o), (error) => {
    assert.ok(hasCode(error, "storage/retained"), `${error}: ${(error as Error).cause}`);
    assert.match(error.hint!, /s3:GetObjectRetention/);
    return true;
  });
  assert.deepEqual(await server.versions(bucket), [{ key: "kept", isMarker: false }]);
});

test("retainUntil of a put wins over the destination's", async () => {
  const retention = { mode: "governance", days: 3 } as const;
  const { storage } = await open("locked", { retention });
  const retainUntil = new Date(Date.now() + 3_600_000);
  await storage.put("x", new Uint8Array([1]), { ...o, retainUntil });
  const { retainedUntil } = (await storage.stat("x", o))!;
  assert.ok(Math.abs(retainedUntil!.getTime() - retainUntil.getTime()) < 1_000);
});

test("retention in a bucket without object lock is an error, not a lock that is none", async () => {
  const { storage } = await open("plain", { retention: { mode: "compliance", days: 1 } });
  await assert.rejects(storage.put("x", new Uint8Array([1]), o), (error) => {
    assert.ok(hasCode(error, "storage/failed"), String(error));
    assert.match(error.message, /object ?lock/i);
    return true;
  });
  assert.equal(await storage.stat("x", o), undefined);
});

test("a missing bucket fails fast and by name", async () => {
  const server = await s3Server();
  const storage = await openS3(server.options("no-such-bucket"), { runtime: testRuntime() });
  const startedAt = Date.now();
  const check = (error: unknown) => {
    assert.ok(hasCode(error, "storage/not-found"), String(error));
    assert.match(`${error.message} ${error.hint}`, /bucket does not exist.*Make it first/);
    return true;
  };
  await assert.rejects(storage.put("x", new Uint8Array([1]), o), check);
  await assert.rejects(keysOf(storage), check);
  await assert.rejects(storage.put("x", body(13 * mebibyte), o), check);
  assert.ok(Date.now() - startedAt < 10_000);
});

test("wrong keys are denied, and no secret is in the error", async () => {
  const { bucket, server } = await open();
  const options = { ...server.options(bucket), secretAccessKey: "wrong-but-secret" };
  const storage = await openS3(options, { runtime: testRuntime() });
  await assert.rejects(keysOf(storage), (error) => {
    assert.ok(hasCode(error, "storage/denied"), String(error));
    assert.match(error.message, /secret key does not fit/);
    assert.ok(!/wrong-but-secret/.test(Bun.inspect(error)));
    return true;
  });
  await assert.rejects(storage.stat("x", o), (e) => hasCode(e, "storage/denied"));
});

test("a store that is not there is unavailable", async () => {
  for (const endpoint of ["http://127.0.0.1:1", "http://no-such-host.invalid"]) {
    const options = { bucket: "b", endpoint, accessKeyId: "a", secretAccessKey: "b" };
    const storage = await openS3(options, { runtime: testRuntime(), policy: quick });
    await assert.rejects(keysOf(storage), (e) => hasCode(e, "storage/unavailable"));
  }
});

async function keysOf(storage: Storage): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list("", o)) keys.push(key);
  return keys.sort();
}
