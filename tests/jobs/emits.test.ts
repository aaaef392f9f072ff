import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { adHocJob } from "../../src/config/adhoc.ts";
import type { JobDefinition } from "../../src/config/model.ts";
import type { Connector, ConnectorKind } from "../../src/contracts/connector.ts";
import type { Emit } from "../../src/contracts/dump.ts";
import type { Omission } from "../../src/contracts/manifest.ts";
import type { Storage } from "../../src/contracts/storage.ts";
import type { Bytes } from "../../src/core/bytes.ts";
import { BackupError } from "../../src/core/errors.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { contextOf, destinationOf } from "./support.ts";

const result = {
  consistentAt: new Date("2026-01-01T00:00:00Z"),
  inventory: { databases: [{ database: "shop", objects: [] }] },
  omitted: [],
  warnings: [],
};
const routines: Omission = { name: "routines", reason: "the user may not see them" };

/** A job of a plugin's connector that dumps like this. */
function pluginJob(
  storages: Readonly<Record<string, Storage>>,
  change: Partial<Connector> | Connector["dump"],
  accept: readonly string[] = [],
): JobDefinition {
  const not = () => Promise.reject(new Error("not here"));
  const connector: Connector = {
    location: "plugin://shop",
    inspect: () =>
      Promise.resolve({
        ...{ sourceId: "plugin", flavour: "Plugin", version: "1", tools: [], privileges: [] },
        ...{ omissions: [], capabilities: ["full"], clockOffsetMs: 0, warnings: [] },
      }),
    databases: () => Promise.resolve(["shop"]),
    ...{ planRestore: not, restore: not, inventory: not, dump: not },
    close: () => Promise.resolve(),
    ...typeof change === "function" ? { dump: change } : change,
  };
  const walk = () => ({ push() {}, end: () => ({ databases: [] }) });
  const kind: ConnectorKind = {
    ...{ kind: "plugin", title: "Plugin", schemes: [], options: z.unknown(), settings: [] },
    omissions: ["routines"],
    formats: [{ id: "lines", suffix: "lines", walk }],
    fromUrl: () => ({}),
    open: () => Promise.resolve(connector),
    recipe: () => [{ reads: [], commands: ["cat"] }],
    jobName: () => "shop",
  };
  const database = { name: "shop", kind, options: {} };
  const destinations = Object.entries(storages).map(([name, one]) => destinationOf(name, one));
  return adHocJob(database, destinations, {
    name: "shop",
    compression: { codec: "none" },
    accept,
  });
}

const put = (emit: Emit, slug: string, bytes: Bytes = chunks(3)) =>
  emit({ role: "dump", databases: [slug], format: "lines", slug }, bytes);

async function* chunks(count: number, delayMs = 0): Bytes {
  for (let i = 0; i < count; i++) {
    await sleep(delayMs);
    yield new Uint8Array(1_000);
  }
}

async function* broken(): Bytes {
  yield new Uint8Array(1_000);
  await Promise.reject(new BackupError("dump/failed", "the tool died"));
}

/** A storage whose put of a file fails at its first byte, after a while. */
function failingAt(name: string, inner: Storage, afterMs = 0): Storage {
  return {
    ...inner,
    async put(key, body, o) {
      if (!key.includes(name)) return await inner.put(key, body, o);
      await sleep(afterMs);
      throw new BackupError("storage/full", `no space for ${name} at ${inner.location}`);
    },
  };
}

const two = () => ({ a: memoryStorage({ location: "a" }), b: memoryStorage({ location: "b" }) });

describe("a connector that makes a mistake with what it hands over", () => {
  const mistakes: Readonly<Record<string, [Connector["dump"], string]>> = {
    "swallows that an artifact failed": [async (_plan, emit) => {
      await put(emit, "one");
      await put(emit, "two", broken()).catch(() => {});
      return result;
    }, "dump/failed"],
    "names a format that it does not have, and swallows that": [async (_plan, emit) => {
      await put(emit, "one");
      const head = { role: "dump", databases: [], format: "no such", slug: "two" } as const;
      await emit(head, chunks(1)).catch(() => {});
      return result;
    }, "internal/format"],
    "does not wait for an artifact": [async (_plan, emit) => {
      await put(emit, "one");
      void put(emit, "two", chunks(1_000, 10));
      return result;
    }, "dump/unfinished"],
    "hands one over when its dump has ended": [async (_plan, emit) => {
      await put(emit, "one");
      setTimeout(() => void put(emit, "two"), 0);
      return result;
    }, "dump/unfinished"],
    "dumps nothing at all": [() => Promise.resolve(result), "dump/unfinished"],
  };
  for (const [what, [dump, code]] of Object.entries(mistakes)) {
    test(`gets no backup: one that ${what}`, async () => {
      const storages = two();
      // The inventory takes a while, so that a late one is late for it.
      const slow: Storage = {
        ...storages.a,
        async put(key, body, o) {
          if (key.includes("inventory")) await sleep(100);
          return await storages.a.put(key, body, o);
        },
      };
      const run = await runBackup(pluginJob({ a: slow, b: storages.b }, dump), contextOf());
      assert.equal(run.status, "failure");
      assert.equal(run.error?.code, code, run.error?.message);
      assert.deepEqual([...storages.a.objects.keys()], []);
      assert.deepEqual([...storages.b.objects.keys()], []);
    });
  }
});

describe("artifacts that are stored at the same time", () => {
  const both: Connector["dump"] = async (_plan, emit) => {
    await Promise.all([put(emit, "one", chunks(30, 5)), put(emit, "two", chunks(60, 5))]);
    return result;
  };

  test("leave nothing at a destination that one of them failed at", async () => {
    const { a, b } = two();
    const job = pluginJob({ a: failingAt("001-one", a, 20), b }, both);
    const run = await runBackup(job, contextOf());
    assert.equal(run.status, "partial", run.error?.message);
    assert.deepEqual(run.destinations.map(({ status }) => status), ["failed", "committed"]);
    assert.deepEqual([...a.objects.keys()], []);
    assert.equal([...b.objects.keys()].filter((key) => key.includes("/dump-")).length, 2);
  });

  test("that fail at another destination each are a failure that names both", async () => {
    const { a, b } = two();
    const job = pluginJob({ a: failingAt("001-one", a), b: failingAt("002-two", b, 40) }, both);
    const run = await runBackup(job, contextOf());
    assert.equal(run.status, "failure");
    assert.equal(run.error?.code, "storage/full");
    const reasons = run.destinations.map((one) => one.status === "failed" && one.error.message);
    assert.deepEqual(reasons, ["no space for 001-one at a", "no space for 002-two at b"]);
    assert.deepEqual([...a.objects.keys(), ...b.objects.keys()], []);
  });
});

describe("storages that acknowledge what they did not read", () => {
  /** Reads one chunk and says that this was all. */
  function lazy(inner: Storage): Storage {
    return {
      ...inner,
      async put(key, body, o) {
        if (!key.includes("/dump-")) return await inner.put(key, body, o);
        for await (const chunk of body as Bytes) return await inner.put(key, chunk, o);
        throw new Error("no chunk");
      },
    };
  }
  const dump: Connector["dump"] = async (_plan, emit) => {
    await put(emit, "one", chunks(5));
    return result;
  };

  test("have no backup, though they all agree", async () => {
    const { a, b } = two();
    const run = await runBackup(pluginJob({ a: lazy(a), b: lazy(b) }, dump), contextOf());
    assert.equal(run.status, "failure");
    assert.equal(run.error?.code, "storage/failed", run.error?.message);
    assert.match(run.error!.message, /did not read ".*dump-001-one\.lines" to its end/);
    assert.deepEqual([...a.objects.keys(), ...b.objects.keys()], []);
  });

  test("are dropped, where another one has it whole", async () => {
    const { a, b } = two();
    const run = await runBackup(pluginJob({ a: lazy(a), b }, dump), contextOf());
    assert.equal(run.status, "partial", run.error?.message);
    const [failed] = run.destinations;
    assert.match(
      failed?.status === "failed" ? failed.error.message : "",
      /stored 1000 of 5000 bytes/,
    );
    assert.deepEqual([...a.objects.keys()], []);
  });
});

describe("what a dump reports as left out", () => {
  const dump: Connector["dump"] = async (_plan, emit) => {
    await put(emit, "one");
    return { ...result, omitted: [routines] };
  };

  test("fails the run where the job does not accept it, though the look before was good", async () => {
    const { a } = two();
    const run = await runBackup(pluginJob({ a }, dump), contextOf());
    assert.equal(run.error?.code, "dump/omitted");
    assert.match(run.error!.message, /"shop" has left out: routines \(the user may not see them\)/);
    assert.match(run.error!.hint!, /^Grant what is missing\. Or accept it by name: /);
    assert.deepEqual([...a.objects.keys()], []);
  });

  test("says itself what to do about it, where that is not granting a right", async () => {
    const { a } = two();
    const digits = { name: "routines", reason: "they are old", hint: "Make them anew." };
    const run = await runBackup(
      pluginJob({ a }, async (_plan, emit) => {
        await put(emit, "one");
        return { ...result, omitted: [digits, { ...digits, name: "tables" }] };
      }),
      contextOf(),
    );
    assert.match(run.error!.hint!, /^Make them anew\. Or accept it by name: /);
  });

  test("goes into the manifest where it is accepted", async () => {
    const { a } = two();
    const run = await runBackup(pluginJob({ a }, dump, ["routines"]), contextOf());
    assert.equal(run.status, "success", run.error?.message);
    assert.deepEqual(run.manifest?.omitted, [routines]);
  });
});

describe("a run that is committed", () => {
  test("stays a success with a warning where the connector does not close", async () => {
    const { a } = two();
    const job = pluginJob({ a }, {
      dump: async (_plan, emit) => {
        await put(emit, "one");
        return result;
      },
      close: () => Promise.reject(new Error("the socket is gone")),
    });
    const run = await runBackup(job, contextOf());
    assert.equal(run.status, "success", run.error?.message);
    assert.deepEqual(run.destinations.map(({ status }) => status), ["committed"]);
    assert.match(run.warnings.join(), /is complete, but .*: the socket is gone/);
    assert.ok([...a.objects.keys()].some((key) => key.endsWith("/manifest.json")));
  });
});
