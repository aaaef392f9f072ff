import assert from "node:assert/strict";
import type { Storage } from "../../src/contracts/storage.ts";
import { collect } from "../../src/core/bytes.ts";
import { type CloudPlace, clouds } from "../support/clouds.ts";
import type { Fault } from "../support/faultProxy.ts";
import { needs } from "../support/needs.ts";
import { never } from "../support/runtime.ts";
import { contentOf, on, refusing, withPlace } from "./faults.ts";

const o = { signal: never };
const key = "a/object";

const overcome: readonly { title: string; fault: Fault; timeoutMs?: number }[] = [
  { title: "a connection refused once", fault: { kind: "refuse" } },
  { title: "a download cut off midway", fault: { kind: "cut-answer", afterBytes: 200_000 } },
  { title: "a download cut off at its first byte", fault: { kind: "cut-answer", afterBytes: 0 } },
  { title: "a lost answer", fault: { kind: "lose-answer" } },
  {
    title: "a download that stalls midway",
    fault: { kind: "stall-answer", afterBytes: 200_000 },
    timeoutMs: 1_000,
  },
  {
    title: "an answer that never comes",
    fault: { kind: "stall-answer", afterBytes: -1 },
    timeoutMs: 1_000,
  },
];

for (const cloud of clouds) {
  needs(...cloud.needs).describe(`reading from ${cloud.name}`, () => {
    const test = (
      title: string,
      use: (place: CloudPlace, storage: Storage, content: Uint8Array) => Promise<void>,
      timeoutMs?: number,
    ) =>
      needs(...cloud.needs)(title, () =>
        withPlace(cloud, async (place) => {
          const content = contentOf(cloud);
          const storage = await place.open({ timeoutMs });
          await storage.put(key, content, o);
          await use(place, storage, content);
        }));

    for (const { title, fault, timeoutMs } of overcome) {
      test(`overcomes ${title}, and takes up where it stopped`, async (place, storage, content) => {
        place.proxy.fail(...on("get", fault)(cloud));
        const before = place.proxy.requests.length;
        assert.deepEqual(await collect(storage.get(key, o)), content);
        assert.equal(place.proxy.struck, 1);
        const again = place.proxy.requests.slice(before).at(-1)!;
        const range = again.headers.get("range") ?? again.headers.get("x-ms-range") ?? "";
        const isMidway = "afterBytes" in fault && fault.afterBytes > 0;
        if (isMidway) assert.match(range, /bytes=[1-9]/);
      }, timeoutMs);
    }

    test("overcomes a store that wants us to slow down", async (place, storage, content) => {
      place.proxy.fail(...refusing("get", "slow-down", 1, 2)(cloud));
      assert.deepEqual(await collect(storage.get(key, o)), content);
      assert.equal(place.proxy.struck, 2);
    });

    test("gives up when every answer is cut off at once", async (place, storage) => {
      place.proxy.fail(...on("get", { kind: "cut-answer", afterBytes: 0 }, 1, Infinity)(cloud));
      await assert.rejects(collect(storage.get(key, o)), { code: "storage/unavailable" });
      place.proxy.heal();
      await collect(storage.get(key, o));
    });

    test("resumes a range where it stopped", async (place, storage, content) => {
      place.proxy.fail(...on("get", { kind: "cut-answer", afterBytes: 50_000 })(cloud));
      const range = { start: 1_000, end: 201_000 };
      const wanted = content.slice(range.start, range.end + 1);
      assert.deepEqual(await collect(storage.get(key, { ...o, range })), wanted);
      assert.equal(place.proxy.struck, 1);
    });

    test("says so when the object is deleted after it was listed", async (_place, storage) => {
      const listed: string[] = [];
      for await (const info of storage.list("a/", o)) listed.push(info.key);
      assert.deepEqual(listed, [key]);
      await storage.delete(key, o);
      await assert.rejects(collect(storage.get(key, o)), { code: "storage/not-found" });
      assert.equal(await storage.stat(key, o), undefined);
    });

    test("never joins two versions of an object", async (place, storage, content) => {
      // Between the cut and the second request, the object is replaced.
      place.proxy.fail(
        ...on("get", { kind: "cut-answer", afterBytes: 200_000 })(cloud),
        ...on("get", {
          kind: "watch",
          async seen() {
            place.proxy.heal();
            await storage.delete(key, o);
            await storage.put(key, content.slice().fill(7), o);
          },
        })(cloud),
      );
      await assert.rejects(
        collect(storage.get(key, o)),
        ({ code }) => /^storage\/(failed|not-found|exists)$/.test(code),
      );
    });

    test("is denied when the right to is taken away", async (place, storage) => {
      place.proxy.fail(...refusing("get", "denied", 1, Infinity)(cloud));
      await assert.rejects(collect(storage.get(key, o)), { code: "storage/denied" });
    });
  });

  needs(...cloud.needs).describe(`listing and deleting on ${cloud.name}`, () => {
    const test = (title: string, use: (place: CloudPlace, storage: Storage) => Promise<void>) =>
      needs(...cloud.needs)(title, () =>
        withPlace(cloud, async (place) => {
          const storage = await place.open();
          await storage.put(key, contentOf(cloud, true), o);
          await use(place, storage);
        }));
    const keysOf = async (storage: Storage) => {
      const keys: string[] = [];
      for await (const info of storage.list("", o)) keys.push(info.key);
      return keys;
    };

    test("overcomes trouble with a list", async (place, storage) => {
      place.proxy.fail(
        ...refusing("list", "500")(cloud),
        ...on("list", { kind: "cut-answer", afterBytes: 20 })(cloud),
      );
      assert.deepEqual(await keysOf(storage), [key]);
      assert.equal(place.proxy.struck, 2);
    });

    test("never gives a part of a list for the whole", async (place, storage) => {
      place.proxy.fail(...on("list", { kind: "cut-answer", afterBytes: 20 }, 1, Infinity)(cloud));
      await assert.rejects(keysOf(storage), { code: "storage/unavailable" });
    });

    test("overcomes the lost answer to a delete", async (place, storage) => {
      place.proxy.fail(...on("delete", { kind: "lose-answer" })(cloud));
      await storage.delete(key, o);
      assert.equal(place.proxy.struck, 1);
      assert.deepEqual(await place.names(), []);
    });

    test("fails a delete that the store refuses, and the object stays", async (place, storage) => {
      place.proxy.fail(...refusing("delete", "denied", 1, Infinity)(cloud));
      await assert.rejects(storage.delete(key, o), { code: "storage/denied" });
      place.proxy.heal();
      assert.deepEqual(await keysOf(storage), [key]);
    });

    test("says that a bucket is not there", async (place) => {
      const storage = await place.open({ bucket: "no-such-bucket" });
      await assert.rejects(keysOf(storage), { code: "storage/not-found" });
    });

    // Amazon's SDK sets its own clock by the store's, which here is not really off.
    if (cloud.name === "s3") return;
    test("works when the store's clock is off", async (place, storage) => {
      place.proxy.skewMs = 3_600_000;
      await storage.put("a/later", contentOf(cloud, true), o);
      assert.deepEqual((await keysOf(storage)).sort(), ["a/later", key]);
      await storage.delete("a/later", o);
      assert.deepEqual(await keysOf(storage), [key]);
    });
  });
}
