import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { describe, test } from "node:test";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { parseMarkName } from "../../src/catalog/mark-names.ts";
import { sealNameFor } from "../support/seals.ts";
import { databaseFromUrl } from "../../src/config/adhoc.ts";
import type { JobDefinition } from "../../src/config/model.ts";
import type { Storage } from "../../src/contracts/storage.ts";
import { collect } from "../../src/core/bytes.ts";
import { copyBackups } from "../../src/jobs/copy/copy.ts";
import { setHold } from "../../src/jobs/prune/hold.ts";
import { listBackups } from "../../src/jobs/list/list.ts";
import { pruneBackups } from "../../src/jobs/prune/prune.ts";
import { prepareRestore } from "../../src/jobs/restore/restore.ts";
import type { PruneResult } from "../../src/jobs/prune/types.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { connectorKinds } from "../../src/registry.ts";
import { openAzure } from "../../src/storage/azure/mod.ts";
import { openGcs } from "../../src/storage/gcs/mod.ts";
import { local } from "../../src/storage/local/mod.ts";
import { openS3 } from "../../src/storage/s3/mod.ts";
import { azurite } from "../support/azurite.ts";
import { faultProxy } from "../support/faultProxy.ts";
import { gcs } from "../support/gcs.ts";
import { needs } from "../support/needs.ts";
import type { Need } from "../support/installed.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { type BucketKind, s3Server } from "../support/s3.ts";
import { tempDir } from "../support/workspace.ts";
import { ordersOf } from "../e2e/support/sqlite.ts";
import { backUp, contextOf, destinationOf, jobOf, restoreRequest } from "./support.ts";

const o = { signal: never };

/** A real store, empty. */
interface Place {
  readonly storage: Storage;
  /** The names of everything in it, with what is hidden and what hides it. */
  everything(): Promise<string[]>;
}

async function inS3(kind: BucketKind, prefix = "p"): Promise<Place & { readonly bucket: string }> {
  const server = await s3Server();
  const bucket = await server.bucket(kind);
  const options = { ...server.options(bucket), prefix, partSize: 5 * 1024 ** 2 };
  return {
    bucket,
    storage: await openS3(options, { runtime: testRuntime() }),
    everything: async () => [
      ...(await server.versions(bucket)).map(({ key, isMarker }) => isMarker ? `${key} !` : key),
      ...(await server.uploads(bucket)).map((key) => `${key} ?`),
    ],
  };
}

async function inGcs(isVersioned: boolean): Promise<Place> {
  const server = await gcs();
  const bucket = await server.createBucket({ isVersioned });
  const options = { bucket, prefix: "p", apiEndpoint: server.endpoint() };
  return {
    storage: await openGcs(options, { runtime: testRuntime() }),
    everything: () => server.names(bucket, true),
  };
}

async function inAzure(): Promise<Place> {
  const { accountName, accountKey, endpoint, createContainer, names } = await azurite();
  const container = await createContainer();
  const options = { container, prefix: "p", accountName, accountKey, endpoint: endpoint() };
  return {
    storage: await openAzure(options, { runtime: testRuntime() }),
    everything: () => names(container, true),
  };
}

const places: readonly (readonly [string, readonly Need[], () => Promise<Place>])[] = [
  ["a plain S3 bucket", ["versitygw"], () => inS3("plain")],
  ["a versioned S3 bucket", ["versitygw"], () => inS3("versioned")],
  ["a GCS bucket", ["fakegcs"], () => inGcs(false)],
  ["a versioned GCS bucket", ["fakegcs"], () => inGcs(true)],
  ["an Azure container", [], () => inAzure()],
];

async function pruneTo(last: number, storage: Storage, context: JobContext): Promise<PruneResult> {
  const [result] = await pruneBackups({
    job: "shop",
    destinations: [destinationOf("there", storage)],
    retention: { policy: { last }, destinations: new Map() },
    timezone: "UTC",
    abandonedAfterMs: 7 * 86_400_000,
    isDryRun: false,
  }, context);
  assert.equal(result!.error, undefined);
  return result!;
}

/** What became of each backup, oldest first. */
function outcomes({ backups }: PruneResult): string[] {
  return backups.map(({ outcome }) => outcome.status).reverse();
}

async function hold(storage: Storage, prefix: string, isHeld: boolean, context: JobContext) {
  const destinations = [destinationOf("there", storage)];
  const { results } = await setHold({ destinations, backup: idOf(prefix), isHeld }, context);
  assert.deepEqual(results, [{ destination: "there" }]);
}

function idOf(prefix: string): string {
  return prefix.split("_")[2]!;
}

async function listedIds(storage: Storage, context: JobContext): Promise<string[]> {
  const { backups } = await listBackups([destinationOf("there", storage)], context);
  return backups.map(({ id }) => id).reverse();
}

/** Every object but marks, with the digest of its content. */
async function contentOf(storage: Storage): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  for await (const { key } of storage.list("", o)) {
    if (parseMarkName(key.split("/").at(-1)!) !== undefined) continue;
    const bytes = await collect(storage.get(key, o));
    found.push([key, createHash("sha256").update(bytes).digest("hex")]);
  }
  return Object.fromEntries(found.sort(([a], [b]) => a < b ? -1 : 1));
}

/** Backs the same database up several times; the folders, oldest first. */
async function several(count: number, job: JobDefinition, context: JobContext): Promise<string[]> {
  const prefixes: string[] = [];
  for (let round = 0; round < count; round++) prefixes.push(await backUp(job, context));
  return prefixes;
}

for (const [name, needed, open] of places) {
  needs(...needed)(`prune, hold and release leave nothing behind in ${name}`, async () => {
    const { storage, everything } = await open();
    const context = contextOf();
    const [held, old, newest] = await several(3, jobOf({ storage }), context);
    await hold(storage, held!, true, context);
    assert.deepEqual(outcomes(await pruneTo(1, storage, context)), ["kept", "dropped", "kept"]);
    assert.deepEqual(await listedIds(storage, context), [held, newest].map((p) => idOf(p!)));
    assert.ok(!(await everything()).some((key) => key.includes(old!)));
    await hold(storage, held!, false, context);
    assert.deepEqual(outcomes(await pruneTo(1, storage, context)), ["dropped", "kept"]);
    const left = await everything();
    assert.ok(left.length > 3 && left.every((key) => key.startsWith(`p/${newest}`)), left.join());
  });
}

for (
  const [name, needed, open] of [
    ["an S3 bucket with object lock", ["versitygw"], () => inS3("locked")],
    ["a GCS bucket with retention", ["fakegcs"], () => inGcs(true)],
  ] as const
) {
  needs(...needed)(`what ${name} retains stays whole and listed until it is free`, async () => {
    const { storage, everything } = await open();
    const until = new Date(Math.ceil(Date.now() / 1000) * 1000 + 8_000);
    const retaining: Storage = {
      ...storage,
      put: (key, body, how) => storage.put(key, body, { retainUntil: until, ...how }),
    };
    const context = contextOf();
    const [old, newest] = await several(2, jobOf({ retaining }), context);
    const before = await everything();
    const { backups } = await pruneTo(1, retaining, context);
    assert.deepEqual(backups.map(({ outcome }) => outcome), [
      { status: "kept" },
      { status: "retained", until },
    ]);
    assert.deepEqual((await everything()).sort(), before.sort(), "nothing is gone or hidden");
    assert.deepEqual(await listedIds(retaining, context), [old, newest].map((p) => idOf(p!)));
    // Marks are not retained, so that they can go again.
    await hold(retaining, old!, true, context);
    await hold(retaining, old!, false, context);
    assert.deepEqual((await everything()).sort(), before.sort());
    assert.ok(Date.now() < until.getTime(), "the machine was too slow to show anything");
    while (Date.now() < until.getTime() + 1_500) await new Promise((go) => setTimeout(go, 100));
    assert.deepEqual(outcomes(await pruneTo(1, retaining, context)), ["dropped", "kept"]);
    const left = await everything();
    assert.ok(left.length > 3 && left.every((key) => key.startsWith(`p/${newest}`)), left.join());
  });
}

needs("versitygw", "fakegcs")(
  "a backup goes from disk over S3, GCS and Azure back to disk, byte by byte",
  async () => {
    const folder = () => local.open({ path: tempDir("disk") }, { ...o, runtime: testRuntime() });
    const way = [
      await folder(),
      (await inS3("versioned")).storage,
      (await inGcs(true)).storage,
      (await inAzure()).storage,
      await folder(),
    ];
    const context = contextOf();
    await several(2, jobOf({ disk: way[0]! }), context);
    const content = await contentOf(way[0]!);
    assert.equal(Object.keys(content).length >= 8, true);
    for (const [index, to] of way.slice(1).entries()) {
      const copy = () =>
        copyBackups({
          sources: [destinationOf("from", way[index]!)],
          to: destinationOf("to", to),
          wanted: [],
        }, context);
      assert.deepEqual((await copy()).map(({ status }) => status), ["copied", "copied"]);
      assert.deepEqual(await contentOf(to), content);
      assert.deepEqual((await copy()).map(({ status }) => status), ["present", "present"]);
    }
  },
);

needs("versitygw")(
  "a restore goes on with the copy on disk when that in S3 is damaged, copy heals it",
  async () => {
    const server = await s3Server();
    const { storage, bucket, everything } = await inS3("versioned");
    const disk = await local.open({ path: tempDir("disk") }, { ...o, runtime: testRuntime() });
    const context = contextOf();
    const job = jobOf({ storage, disk });
    await backUp(job, context);
    const Key = (await everything()).find((key) => key.includes("/dump-001"))!;
    const content = await contentOf(disk);
    const Body = (await collect(disk.get(Key.replace(/^p\//, ""), o))).slice();
    Body[Body.byteLength >> 1]! ^= 1;
    await server.client.send(new PutObjectCommand({ Bucket: bucket, Key, Body }));

    const path = join(tempDir("target"), "back.db");
    const target = databaseFromUrl(`sqlite:${path}`, connectorKinds);
    const prepared = await prepareRestore(restoreRequest(job.destinations, target), context);
    try {
      assert.equal(prepared.from, "storage");
      const { warnings } = await prepared.run();
      assert.match(warnings.join(), /The copy of \w+ at "storage" cannot be used/);
    } finally {
      await prepared.close();
    }
    assert.equal(ordersOf(path), ordersOf((job.database.options as { path: string }).path));
    const marks = (await everything()).filter((key) => key.includes("/damaged-"));
    assert.equal(marks.length, 1);

    const request = { sources: [destinationOf("disk", disk)], wanted: [] };
    const to = destinationOf("s3", storage);
    const [healed] = await copyBackups({ ...request, to }, context);
    assert.equal(healed!.status, "healed", healed!.error?.message);
    assert.deepEqual(await contentOf(storage), content);
    const others = (await everything()).filter((key) => !(key.slice(2) in content));
    assert.deepEqual(others, [], "the mark is gone, and nothing hides anything");
  },
);

needs("versitygw")(
  "list asks S3 for many manifests at a time, and for each only once",
  async () => {
    const server = await s3Server();
    const proxy = await faultProxy(Number(new URL(server.endpoint).port));
    try {
      const options = { ...server.options(await server.bucket()), endpoint: proxy.url };
      const storage = await openS3(options, { runtime: testRuntime() });
      const context = contextOf();
      const prefix = await backUp(jobOf({ storage }), context);
      const text = new TextDecoder()
        .decode(await collect(storage.get(`${prefix}manifest.json`, o)));
      const id = idOf(prefix);
      const others = Array.from({ length: 39 }, (_, number) => String(number + 1).padStart(8, "0"));
      await Promise.all(others.flatMap((other) => {
        const body = new TextEncoder().encode(text.replaceAll(id, other));
        return ["manifest.json", sealNameFor(body)].map((name) =>
          storage.put(prefix.replace(id, other) + name, body, o)
        );
      }));
      let [underWay, most] = [0, 0];
      const counting: Storage = {
        ...storage,
        async *get(key, how) {
          most = Math.max(most, ++underWay);
          yield* storage.get(key, how);
          underWay--;
        },
      };
      const asked = async () => {
        const before = proxy.requests.length;
        assert.equal((await listedIds(counting, context)).length, 40);
        const paths = proxy.requests.slice(before).map(({ path }) => path);
        const count = (part: string) => paths.filter((path) => path.includes(part)).length;
        return { all: paths.length, lists: count("list-type=2"), gets: count("x-id=GetObject") };
      };
      assert.deepEqual(await asked(), { all: 41, lists: 1, gets: 40 });
      assert.equal(most, 32);
      assert.deepEqual(await asked(), { all: 1, lists: 1, gets: 0 });
    } finally {
      await proxy.close();
    }
  },
);

describe("a mark", () => {
  const none = { ...o, retainUntil: "none" } as const;
  const body = new TextEncoder().encode("hold\n");

  needs("fakegcs")("is not retained where GCS retains all else", async () => {
    const server = await gcs();
    const bucket = await server.createBucket();
    const options = { bucket, apiEndpoint: server.endpoint() };
    const retention = { mode: "Unlocked", days: 2 } as const;
    const storage = await openGcs({ ...options, retention }, { runtime: testRuntime() });
    await storage.put("dump", body, o);
    assert.equal((await storage.put("hold", body, none)).retainedUntil, undefined);
    assert.equal((await storage.stat("hold", o))!.retainedUntil, undefined);
    await storage.delete("hold", o);
    await assert.rejects(storage.delete("dump", o), { code: "storage/retained" });
    assert.deepEqual(await server.names(bucket), ["dump"]);
  });

  test("is not retained where Azure retains all else", async () => {
    const { accountName, accountKey, port, createContainer } = await azurite();
    const proxy = await faultProxy(port);
    try {
      const endpoint = `${proxy.url}/${accountName}`;
      const options = { container: await createContainer(), accountName, accountKey, endpoint };
      const retention = { mode: "Unlocked", days: 2 } as const;
      const storage = await openAzure({ ...options, retention }, { runtime: testRuntime() });
      await storage.put("dump", body, o);
      await storage.put("hold", body, none);
      // Azurite keeps no policy; what counts is what it is asked for.
      const asked = proxy.requests.filter(({ method }) => method === "PUT")
        .map(({ headers }) => headers.has("x-ms-immutability-policy-until-date"));
      assert.deepEqual(asked, [true, false]);
    } finally {
      await proxy.close();
    }
  });
});
