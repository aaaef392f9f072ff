import assert from "node:assert/strict";
import { collect } from "../../src/core/bytes.ts";
import { type Cloud, type CloudPlace, clouds } from "../support/clouds.ts";
import { deadPort } from "../support/daemon.ts";
import type { Fault, Rule } from "../support/faultProxy.ts";
import { needs } from "../support/needs.ts";
import { never } from "../support/runtime.ts";
import { contentOf, inChunks, on, refusing, withPlace } from "./faults.ts";

const o = { signal: never };
const forever = Infinity;

interface Case {
  readonly title: string;
  readonly rules: (cloud: Cloud) => readonly Rule[];
  /** A body of a few bytes instead of one of two and a half parts. */
  readonly isSmall?: boolean;
  readonly timeoutMs?: number;
}

const cutOff: Fault = { kind: "cut-request", afterBytes: 100_000 };
const stallOff: Fault = { kind: "stall-request", afterBytes: 100_000 };
const loseAnswer: Fault = { kind: "lose-answer" };

const overcome: readonly Case[] = [
  { title: "a connection refused once", rules: on("part", { kind: "refuse" }, 2) },
  { title: "a cut in the middle of a part", rules: on("part", cutOff, 2) },
  { title: "a part that stalls", rules: on("part", stallOff, 2), timeoutMs: 1_000 },
  { title: "a slow line", rules: on("part", { kind: "slow", bytesPerSecond: 2e6 }, 1, forever) },
  { title: "an internal error of the store", rules: refusing("part", "500", 2) },
  { title: "a store that wants us to slow down", rules: refusing("part", "slow-down", 1, 2) },
  { title: "a store that had too many requests", rules: refusing("part", "too-many", 2) },
  { title: "trouble as an upload begins", rules: refusing("begin", "slow-down") },
  { title: "trouble as an upload completes", rules: refusing("complete", "500") },
  { title: "the lost answer to a part", rules: ({ lostPart }) => lostPart },
  { title: "the lost answer to the completion", rules: on("complete", loseAnswer) },
  { title: "the lost answer to a small object", rules: on("put", loseAnswer), isSmall: true },
  {
    title: "an answer to a small object that stalls",
    rules: on("put", { kind: "stall-answer", afterBytes: -1 }),
    isSmall: true,
    timeoutMs: 1_000,
  },
  { title: "trouble with a small object", rules: refusing("put", "500", 1, 2), isSmall: true },
  {
    title: "a small object cut off on its way",
    rules: on("put", { kind: "cut-request", afterBytes: 10 }),
    isSmall: true,
  },
  {
    title: "a small object damaged on its way",
    rules: on("put", { kind: "flip-request", offset: 900 }),
    isSmall: true,
  },
];

interface Failure extends Case {
  readonly code: string | RegExp;
  /** How the storage is opened; the rules are for the proxy that is there by default. */
  readonly open?: () => Promise<Parameters<CloudPlace["open"]>[0]>;
}

const none = () => [];
const fatal: readonly Failure[] = [
  {
    title: "a store that never comes back",
    rules: on("part", { kind: "refuse" }, 2, forever),
    code: "storage/unavailable",
  },
  {
    title: "a store that stays overloaded",
    rules: refusing("part", "slow-down", 2, forever),
    code: "storage/unavailable",
  },
  {
    title: "parts that stall each time",
    rules: on("part", stallOff, 2, forever),
    timeoutMs: 500,
    code: "storage/unavailable",
  },
  {
    title: "a right that is taken away midway",
    rules: refusing("part", "denied", 2, forever),
    code: "storage/denied",
  },
  {
    title: "credentials that expire midway",
    rules: refusing("part", "expired", 2, forever),
    code: "storage/denied",
  },
  {
    title: "credentials that have expired",
    rules: refusing("put", "expired", 1, forever),
    isSmall: true,
    code: "storage/denied",
  },
  {
    title: "a clock that the store does not accept",
    rules: refusing("put", "clock", 1, forever),
    isSmall: true,
    code: "storage/denied",
  },
  {
    title: "a completion that is refused",
    rules: refusing("complete", "denied", 1, forever),
    code: "storage/denied",
  },
  {
    title: "bytes that are damaged each time",
    rules: on("part", { kind: "flip-request", offset: 1_000 }, 1, forever),
    // A store that checks every part is unavailable for this one; else the whole has failed.
    code: /^storage\/(unavailable|checksum)$/,
  },
  {
    title: "a bucket that is not there",
    rules: none,
    open: () => Promise.resolve({ bucket: "no-such-bucket" }),
    code: "storage/not-found",
  },
  {
    title: "a port on which nobody listens",
    rules: none,
    open: () => Promise.resolve({ endpoint: `http://127.0.0.1:${deadPort}` }),
    code: "storage/unavailable",
  },
  {
    title: "a host whose name is not known",
    rules: none,
    open: () => Promise.resolve({ endpoint: "http://nowhere.invalid" }),
    code: "storage/unavailable",
  },
];

for (const cloud of clouds) {
  needs(...cloud.needs).describe(`a put to ${cloud.name}`, () => {
    const test = needs(...cloud.needs);

    for (const { title, rules, isSmall, timeoutMs } of overcome) {
      test(`overcomes ${title}`, () =>
        withPlace(cloud, async (place) => {
          const storage = await place.open({ timeoutMs });
          place.proxy.fail(...rules(cloud));
          const content = contentOf(cloud, isSmall);
          const info = await storage.put("a/object", inChunks(content), o);
          assert.ok(place.proxy.struck > 0, "the fault was never met");
          assert.equal(info.bytes, content.byteLength);
          assert.deepEqual(await collect(storage.get("a/object", o)), content);
          assert.deepEqual(await place.names(), ["p/a/object"]);
          assert.equal(await place.unfinished(), 0);
        }));
    }

    for (const { title, rules, isSmall, timeoutMs, open, code } of fatal) {
      test(`fails by ${title}, and leaves nothing`, () =>
        withPlace(cloud, async (place) => {
          place.proxy.fail(...rules(cloud));
          const content = contentOf(cloud, isSmall);
          const broken = await place.open({ timeoutMs, ...await open?.() });
          await assert.rejects(broken.put("a/object", inChunks(content), o), { code });
          if (rules !== none) assert.ok(place.proxy.struck > 0, "the fault was never met");
          assert.deepEqual(await place.names(), []);
          assert.equal(await place.unfinished(), 0);

          place.proxy.heal();
          const storage = await place.open();
          await storage.put("a/object", inChunks(content), o);
          assert.deepEqual(await collect(storage.get("a/object", o)), content);
          assert.equal(await storage.sweep("a/", o), 0);
        }));
    }

    test("that lost its answer does not take another's object for its own", () =>
      withPlace(cloud, async (place) => {
        const storage = await place.open();
        const other = await place.open({ endpoint: undefined });
        // While the first try is under way, somebody else stores the same name.
        let isStored = false;
        place.proxy.fail({
          ...cloud.requests.put,
          fault: {
            kind: "watch",
            async seen() {
              if (isStored) return;
              isStored = true;
              place.proxy.fail({ ...cloud.requests.put, fault: loseAnswer });
              await other.put("taken", inChunks(contentOf(cloud, true).fill(1)), o).catch(() => {});
            },
          },
        });
        await assert.rejects(storage.put("taken", inChunks(contentOf(cloud, true)), o), {
          code: "storage/exists",
        });
      }));
  });
}
