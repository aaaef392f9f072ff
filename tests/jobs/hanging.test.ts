import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { DestinationDefinition, JobDefinition } from "../../src/config/model.ts";
import { withLimits } from "../../src/connectors/limits.ts";
import type { Connector } from "../../src/contracts/connector.ts";
import type { Storage } from "../../src/contracts/storage.ts";
import { BackupError } from "../../src/core/errors.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import { prepareRestore } from "../../src/jobs/restore/restore.ts";
import type { RestoreRequest } from "../../src/jobs/restore/types.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { withStallLimit } from "../../src/storage/stall-limit.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { never } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";
import { backUp, contextOf, destinationOf, jobOf, restoreRequest } from "./support.ts";

const forEver = () => new Promise<never>(() => {});

/** An iteration whose every step hangs. */
function hangingIteration(): AsyncGenerator<never> {
  return { next: forEver, return: forEver, throw: forEver } as never as AsyncGenerator<never>;
}
const hangingBytes = { [Symbol.asyncIterator]: hangingIteration };

/** A storage that answers, but for one kind of call, which hears no signal. */
function hangingIn(
  call: keyof Storage,
  inner: Storage = memoryStorage({ location: "b" }),
): Storage {
  const hang = call === "get" || call === "list" ? () => hangingBytes : forEver;
  return { ...inner, [call]: hang };
}

/** The same as it is, `close` included, which the tests' own helper leaves out. */
function asIs(name: string, storage: Storage): DestinationDefinition {
  const definition = destinationOf(name, storage);
  return { ...definition, kind: { ...definition.kind, open: () => Promise.resolve(storage) } };
}

function withConnector(job: JobDefinition, change: (inner: Connector) => Partial<Connector>) {
  const { kind } = job.database;
  const changed: typeof kind = {
    ...kind,
    async open(options, o) {
      const inner = await kind.open(options, o);
      return { ...inner, ...change(inner) };
    },
  };
  return { ...job, database: { ...job.database, kind: changed } };
}

/** Asserts that the lock is free: a good run of the same job comes through. */
async function assertFree(job: JobDefinition, o: JobContext): Promise<void> {
  const a = memoryStorage({ location: "free" });
  await backUp({ ...job, destinations: [destinationOf("a", a)], timeoutMs: undefined }, o);
}

describe("a storage that never answers", () => {
  for (const call of ["put", "stat", "list", "delete", "sweep", "close"] as const) {
    test(`to ${call} keeps no other from its backup, and no lock`, async () => {
      const a = memoryStorage({ location: "a" });
      const job = jobOf({ a }, { destinationStallTimeoutMs: 300, timeoutMs: 20_000 });
      const b = hangingIn(call);
      const failing: Storage = call === "put" ? b : {
        ...b,
        // It is dropped, so that what is there of it would be looked for, listed and deleted.
        put: (key, body, o) =>
          key.includes("dump-001-shop") && call !== "list" && call !== "close"
            ? b.put(key, body, o).then(() => {
              throw new BackupError("storage/full", "no space");
            })
            : b.put(key, body, o),
      };
      const o = contextOf();
      const destinations = [...job.destinations, asIs("b", failing)];
      const result = await runBackup({ ...job, destinations }, o);
      const expected = call === "close" ? "success" : "partial";
      assert.equal(result.status, expected, result.error?.message);
      assert.ok([...a.objects.keys()].some((key) => key.endsWith("/manifest.json")));
      await assertFree(job, o);
    });
  }

  test("to open ends with the run's own time, and is dropped", async () => {
    const b: DestinationDefinition = {
      ...destinationOf("b", memoryStorage()),
      kind: { ...destinationOf("b", memoryStorage()).kind, open: forEver },
    };
    const a = memoryStorage({ location: "a" });
    const job = jobOf({ a }, { destinationStallTimeoutMs: 200 });
    const o = contextOf();
    const result = await runBackup({ ...job, destinations: [...job.destinations, b] }, o);
    assert.equal(result.status, "partial", result.error?.message);
    const failed = result.destinations.find(({ status }) => status === "failed");
    assert.match(
      failed?.status === "failed" ? failed.error.message : "",
      /did not open within 0\.2 s/,
    );
    await assertFree(job, o);
  });

  test("a list or a read is given up after its limit, and ends with the signal at once", async () => {
    const pull = async (storage: Storage, call: "get" | "list", signal: AbortSignal) => {
      for await (const _ of storage[call]("k", { signal }));
    };
    for (const call of ["get", "list"] as const) {
      const short = withStallLimit(hangingIn(call), 100);
      await assert.rejects(pull(short, call, never), {
        code: "storage/stalled",
        message: /"b" was asked to (read|list) "k" and has not answered for 0\.1 s/,
      });
      const stop = new AbortController();
      const long = withStallLimit(hangingIn(call), 60_000);
      setTimeout(() => stop.abort(new BackupError("interrupted/signal", "stopped")), 50);
      await assert.rejects(pull(long, call, stop.signal), { code: "interrupted/signal" });
    }
  });
});

describe("a run's timeout", () => {
  test("commits at those that are well, while another hangs in everything", async () => {
    const a = memoryStorage({ location: "a" });
    const job = jobOf({ a }, { destinationStallTimeoutMs: 500 });
    const b: Storage = {
      ...memoryStorage({ location: "b" }),
      ...{ put: forEver, stat: forEver, list: () => hangingBytes, delete: forEver },
      ...{ sweep: forEver, close: forEver },
    };
    const o = contextOf();
    const both = { ...job, destinations: [...job.destinations, asIs("b", b)], timeoutMs: 60_000 };
    const result = await runBackup(both, o);
    assert.equal(result.status, "partial", result.error?.message);
    assert.ok([...a.objects.keys()].some((key) => key.endsWith("/manifest.json")));
    await assertFree(job, o);
  });

  for (const call of ["inspect", "databases", "dump", "close"] as const) {
    test(`ends it where the connector hangs in ${call}, and frees the lock`, async () => {
      const a = memoryStorage({ location: "a" });
      // A close that hangs has a limit of its own.
      const job = jobOf({ a }, call === "close" ? {} : { timeoutMs: 1_000 });
      const o = contextOf();
      const hanging = withConnector(job, (inner) => {
        // A dump that is told to stop has a grace; this one hangs without any hope of its end.
        return call === "close" ? { close: forEver } : { ...inner, [call]: forEver };
      });
      const result = await runBackup(hanging, o);
      if (call === "close") assert.equal(result.status, "success", result.error?.message);
      else {
        assert.equal(result.error?.code, "dump/timeout");
        assert.deepEqual([...a.objects.keys()], []);
      }
      await assertFree(job, o);
    });
  }

  test("ends it where the connector never opens", async () => {
    const job = jobOf({ a: memoryStorage() }, { timeoutMs: 300 });
    const kind = { ...job.database.kind, open: forEver };
    const o = contextOf();
    const result = await runBackup({ ...job, database: { ...job.database, kind } }, o);
    assert.equal(result.error?.code, "dump/timeout");
    await assertFree(job, o);
  });

  test("ends it where the stream of an artifact hangs, and nothing is left", async () => {
    const a = memoryStorage({ location: "a" });
    const job = jobOf({ a }, { timeoutMs: 500 });
    const hanging = withConnector(job, () => ({
      dump: async (_plan, emit) => {
        const head = { role: "dump", databases: ["shop"], format: "sqlite", slug: "shop" } as const;
        await emit(head, hangingBytes);
        throw new Error("it cannot have ended");
      },
    }));
    const result = await runBackup(hanging, contextOf());
    assert.equal(result.error?.code, "dump/timeout");
    assert.deepEqual([...a.objects.keys()], []);
  });
});

describe("a connector with limits", () => {
  const limits = { answerMs: 100, dumpGraceMs: 50, restoreGraceMs: 50, closeMs: 50 };
  const plan = { kind: "full", settings: {}, stallMs: 20 } as const;
  const o = { signal: never };
  const hanging = withLimits({
    ...{ location: "db://there", inspect: forEver, databases: forEver, dump: forEver },
    ...{ planRestore: forEver, restore: forEver, inventory: forEver, close: forEver },
  }, limits);
  const silent = { code: "connection/silent", message: /^db:\/\/there was asked to / };

  test("gives up each call that is not answered", async () => {
    await assert.rejects(hanging.inspect(o), silent);
    await assert.rejects(hanging.databases(o), silent);
    await assert.rejects(hanging.inventory("shop", o), silent);
    await assert.rejects(hanging.planRestore([], {} as never, o), silent);
    await assert.rejects(hanging.close(), silent);
    await assert.rejects(hanging.dump(plan, forEver, o), { code: "dump/stalled" });
  });

  test("ends a restore that hears no signal with the signal, after its grace", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new BackupError("interrupted/signal", "stopped")), 20);
    const restoring = hanging.restore([], {} as never, {} as never, stop);
    await assert.rejects(restoring, { code: "interrupted/signal" });
  });

  test("does not count the time in which a dump waits for a slow destination", async () => {
    const result = { consistentAt: new Date(), inventory: { databases: [] }, omitted: [] };
    const dumping = withLimits({
      ...hanging,
      async dump(_plan, emit) {
        const head = { role: "dump", databases: [], format: "x", slug: "" } as const;
        await emit(
          head,
          (async function* () {
            yield new Uint8Array(1);
          })(),
        );
        return { ...result, warnings: [] };
      },
    }, limits);
    const { warnings } = await dumping.dump(plan, async (_head, bytes) => {
      for await (const _ of bytes) await sleep(300);
      return { databases: [] };
    }, o);
    assert.deepEqual(warnings, []);
  });
});

describe("a restore", () => {
  function requestOf(job: JobDefinition, destinations = job.destinations): RestoreRequest {
    const path = join(tempDir("restored"), "shop.db");
    return restoreRequest(destinations, { ...job.database, options: { path } });
  }

  for (const call of ["planRestore", "restore", "close"] as const) {
    test(`that hangs in ${call} ends with the signal, and its locks are free`, async () => {
      const a = memoryStorage({ location: "a" });
      const job = jobOf({ a });
      const o = contextOf();
      await backUp(job, o);
      const stop = new AbortController();
      const reason = new BackupError("interrupted/signal", "stopped");
      // Its grace is for taking back what was done.
      const hanging = withConnector(job, () => ({
        [call]: call === "restore" ? (async () => await rejectedBy(stop.signal)) : forEver,
      }));
      if (call !== "close") setTimeout(() => stop.abort(reason), 300);
      const restoring = (async () => {
        const prepared = await prepareRestore(requestOf(hanging), { ...o, signal: stop.signal });
        try {
          await prepared.run();
        } finally {
          await prepared.close();
        }
      })();
      if (call === "close") await restoring;
      else await assert.rejects(restoring, { code: "interrupted/signal" });
      await assertFree(job, o);
    });
  }

  test("whose destination stalls halfway ends within the limit, and leaves nothing", async () => {
    const a = memoryStorage({ location: "a" });
    const job = jobOf({ a });
    const o = { ...contextOf(), stallMs: 300 };
    await backUp(job, o);
    const stalling: Storage = {
      ...a,
      async *get(key, options) {
        for await (const chunk of a.get(key, options)) {
          if (!key.includes("dump-001")) yield chunk;
          else {
            yield chunk.subarray(0, chunk.length / 2);
            await forEver();
          }
        }
      },
    };
    const request = requestOf(job, [destinationOf("a", stalling)]);
    const prepared = await prepareRestore(request, o);
    try {
      await assert.rejects(prepared.run(), {
        code: "storage/stalled",
        message: /asked to read ".*dump-001.*" and has not answered for 0\.3 s/,
      });
    } finally {
      await prepared.close();
    }
    const { path } = request.target.options as { path: string };
    assert.deepEqual(readdirSync(dirname(path)), []);
    await assertFree(job, o);
  });
});

function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}
