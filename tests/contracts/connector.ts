import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import type { Connector, ConnectorKind } from "../../src/contracts/connector.ts";
import type { ArtifactHead, DumpResult } from "../../src/contracts/dump.ts";
import type {
  RestorableArtifact,
  RestorableChain,
  RestoreOptions,
} from "../../src/contracts/restore.ts";
import type { ArtifactContents, ArtifactFormat } from "../../src/contracts/format.ts";
import type { DatabaseInventory, Inventory } from "../../src/contracts/inventory.ts";
import type { Manifest } from "../../src/contracts/manifest.ts";
import type { Runtime } from "../../src/core/runtime.ts";

/** What {@link connectorContract} needs of an implementation. */
export interface ConnectorSetup<O> {
  readonly kind: ConnectorKind<O>;
  /** What connectors are opened with. */
  readonly runtime: Runtime;
  /** The options of a database with some objects and rows. The same one each time. */
  source(): Promise<O>;
  /** The options of a database that is empty or not there yet; a new one each time. */
  empty(): Promise<O>;
  /** The options of a database with other content than `source`; a new one each time. */
  filled(): Promise<O>;
  /** A URL of its scheme that cannot be read. */
  readonly badUrl: string;
}

/**
 * The tests that every Connector passes; see src/contracts/connector.ts. Imports nothing but `node:`
 * and the contract's types, so that authors of plugins can use it. Its setup is for one database.
 *
 * @param name of the implementation, for the tests' names.
 * @param make is called once, when the first test runs.
 */
export function connectorContract<O>(name: string, make: () => Promise<ConnectorSetup<O>>): void {
  let made: Promise<ConnectorSetup<O>> | undefined;
  const setup = () => made ??= make();

  async function withConnector<T>(
    options: (one: ConnectorSetup<O>) => Promise<O>,
    use: (connector: Connector, setup: ConnectorSetup<O>) => Promise<T>,
  ): Promise<T> {
    const one = await setup();
    const connector = await one.kind.open(await options(one), { ...o, runtime: one.runtime });
    try {
      return await use(connector, one);
    } finally {
      await connector.close();
    }
  }
  const fromSource = <T>(use: (connector: Connector, one: ConnectorSetup<O>) => Promise<T>) =>
    withConnector((one) => one.source(), use);
  const dumped = () => fromSource((connector, { kind }) => dumpAll(connector, kind));

  describe(`${name} as a connector`, () => {
    test("has a kind, a title, schemes, and formats with their own suffixes", async () => {
      const { kind } = await setup();
      assert.match(kind.kind, /^[a-z][a-z0-9-]*$/);
      assert.ok(kind.title.length > 0 && kind.formats.length > 0);
      for (const scheme of kind.schemes) assert.match(scheme, /^[a-z][a-z0-9+.-]*$/);
      for (const { id, suffix } of kind.formats) {
        assert.match(id, /^[a-z0-9-]+$/);
        assert.match(suffix, /^[a-z0-9]+$/);
      }
      assert.equal(new Set(kind.formats.map(({ id }) => id)).size, kind.formats.length);
    });

    test("refuses options that it does not know", async () => {
      const one = await setup();
      const options = { ...await one.source() as object, thereIsNoSuchOption: 1 };
      assert.equal(one.kind.options.safeParse(options).success, false);
      assert.equal(one.kind.options.safeParse(await one.source()).success, true);
    });

    test("refuses a URL that it cannot read", async () => {
      const { kind, badUrl } = await setup();
      assert.throws(() => kind.fromUrl(badUrl), code("usage/bad-url"));
    });

    test("opens and closes without asking anything of the database", async () => {
      await fromSource((connector) => {
        assert.ok(connector.location.length > 0);
        return Promise.resolve();
      });
    });

    test("tells the same source each time, and what a full backup needs", async () => {
      const [first, second] = [
        await fromSource((connector) => connector.inspect(o)),
        await fromSource((connector) => connector.inspect(o)),
      ];
      assert.equal(first.sourceId, second.sourceId);
      assert.ok(first.sourceId !== "" && first.flavour.length > 0);
      assert.match(first.version, /^\d+(\.\d+)*/);
      assert.ok(first.capabilities.includes("full"));
      assert.deepEqual(first.omissions, []);
      for (const { name, version } of first.tools) assert.ok(name.length > 0 && version);
    });

    test("dumps artifacts whose structure its walkers see to the end", async () => {
      const startedAt = Date.now();
      const { artifacts, result } = await dumped();
      assert.ok(artifacts.some(({ head }) => head.role === "dump"));
      assert.ok(result.inventory.databases.some(({ objects }) => objects.length > 0));
      assert.ok(Math.abs(result.consistentAt.getTime() - startedAt) < 60_000);
      assert.deepEqual(result.omitted, []);
    });

    test("names in its artifacts the databases that it lists", async () => {
      const names = await fromSource((connector) => connector.databases(o));
      const { artifacts } = await dumped();
      const inside = artifacts.filter(({ head }) => head.role === "dump")
        .flatMap(({ head }) => head.databases);
      assert.deepEqual([...new Set(inside)].sort(), [...names].sort());
    });

    test("walks a dump the same way however its chunks are cut", async () => {
      for (const { format, content, contents } of (await dumped()).artifacts) {
        for (const size of [1_000_003, 4_093, 7]) {
          // Small cuts of all of a large dump would take long and show no more.
          if (content.byteLength / size > 2_000_000) continue;
          assert.deepEqual(walk(format, inReusedChunks(content, size)), contents);
        }
      }
    });

    test("sees a dump that is cut off, wherever it is cut", async () => {
      const whole = (await dumped()).artifacts.filter(({ head }) => head.role === "dump");
      for (const { format, content } of whole) {
        const { byteLength } = content;
        for (const length of [0, 1, Math.floor(byteLength / 2), byteLength - 1]) {
          const cut = content.subarray(0, length);
          assert.throws(() => walk(format, [cut]), areaOf("verification/"), `${length} bytes`);
        }
      }
    });

    test("fails a dump whose consumer fails, with the consumer's error", async () => {
      const failure = new Error("the disk is full");
      await fromSource(async (connector) => {
        const dump = connector.dump(plan, async (_, bytes) => {
          for await (const _chunk of bytes) throw failure;
          throw failure;
        }, o);
        await assert.rejects(dump, (error) => error === failure);
      });
    });

    test("stops a dump when it is aborted, with the signal's reason", async () => {
      const reason = new Error("stop");
      const controller = new AbortController();
      await fromSource(async (connector) => {
        const dump = connector.dump(plan, async (_, bytes) => {
          for await (const _chunk of bytes) controller.abort(reason);
          throw reason;
        }, { signal: controller.signal });
        await assert.rejects(dump, (error) => error === reason);
      });
    });

    test("restores into an empty target what it dumped", async () => {
      const dump = await dumped();
      await withConnector((one) => one.empty(), async (connector, { kind }) => {
        const chain = chainOf(dump, kind);
        const restorePlan = await connector.planRestore(chain, options, o);
        assert.ok(restorePlan.steps.length > 0 && restorePlan.target.length > 0);
        for (const { mode } of restorePlan.steps) assert.ok(mode === "create" || mode === "fill");
        const result = await connector.restore(chain, restorePlan, options, o);
        assert.deepEqual(result.differences.filter(({ isFailure }) => isFailure), []);
        for (const { from, to } of result.steps) {
          const expected = dump.result.inventory.databases.find((one) => one.database === from)!;
          assertHolds(await connector.inventory(to, o), expected);
        }
      });
    });

    test("refuses to restore over what is there, and changes nothing", async () => {
      const dump = await dumped();
      await withConnector((one) => one.filled(), async (connector, { kind }) => {
        const before = await everything(connector);
        const planned = connector.planRestore(chainOf(dump, kind), options, o);
        await assert.rejects(planned, code("restore/not-empty"));
        assert.deepEqual(await everything(connector), before);
      });
    });

    test("replaces what is there when told to, and says what happens to it", async () => {
      const dump = await dumped();
      await withConnector((one) => one.filled(), async (connector, { kind }) => {
        const chain = chainOf(dump, kind);
        const before = await everything(connector);
        const restorePlan = await connector.planRestore(chain, overwriting, o);
        assert.deepEqual(await everything(connector), before, "a plan changes nothing");
        for (const { mode, keptAs, loses } of restorePlan.steps) {
          if (mode === "swap") assert.ok(keptAs);
          if (mode === "replace") assert.ok(loses);
        }
        const isReplacing = restorePlan.steps.some(({ mode }) => mode === "replace");
        if (isReplacing) assert.ok(restorePlan.isCheckedFirst, "what is lost is proven first");
        const result = await connector.restore(chain, restorePlan, overwriting, o);
        for (const { from, to } of result.steps) {
          const expected = dump.result.inventory.databases.find((one) => one.database === from)!;
          assertHolds(await connector.inventory(to, o), expected);
        }
      });
    });

    test("keeps what is there when the bytes break off on the way", async () => {
      const dump = await dumped();
      const failure = new Error("the network is gone");
      await withConnector((one) => one.filled(), async (connector, { kind }) => {
        const before = await everything(connector);
        const chain = chainOf(dump, kind, failure);
        const restorePlan = await connector.planRestore(chain, overwriting, o);
        // An engine that cannot rename is protected by the check of every byte before.
        if (restorePlan.steps.some(({ mode }) => mode === "replace")) return;
        await assert.rejects(connector.restore(chain, restorePlan, overwriting, o));
        assert.deepEqual(await everything(connector), before);
      });
    });

    test("tells the standard commands for each artifact", async () => {
      const { kind } = await setup();
      const chain = chainOf(await dumped(), kind);
      for (const artifact of chain[0]!.artifacts.filter(({ role }) => role !== "inventory")) {
        const rawBytesCommand = "cat some-file | gzip -dc";
        const { manifest } = chain[0]!;
        const steps = kind.recipe([{ manifest, artifacts: [{ artifact, rawBytesCommand }] }]);
        const lines = steps.flatMap(({ commands }) => commands);
        assert.ok(lines.join("\n").includes(rawBytesCommand), lines.join("\n"));
      }
    });
  });
}

const o = { signal: new AbortController().signal };
const plan = { kind: "full", settings: {}, stallMs: 60_000 } as const;
const options: RestoreOptions = {
  isOverwrite: false,
  only: [],
  isWithAccounts: false,
  isDifferenceAccepted: false,
  isKeepGoing: false,
  jobs: 1,
  restoreArgs: [],
  backupId: "k3v9x2ma",
};
const overwriting: RestoreOptions = { ...options, isOverwrite: true };

interface DumpedArtifact {
  readonly head: ArtifactHead;
  readonly format: ArtifactFormat;
  readonly content: Uint8Array;
  readonly contents: ArtifactContents;
}

interface Dumped {
  readonly artifacts: readonly DumpedArtifact[];
  readonly result: DumpResult;
}

async function dumpAll<O>(connector: Connector, kind: ConnectorKind<O>): Promise<Dumped> {
  const artifacts: DumpedArtifact[] = [];
  const result = await connector.dump(plan, async (head, bytes) => {
    const format = kind.formats.find(({ id }) => id === head.format);
    assert.ok(format, `format "${head.format}" is one of the kind's`);
    const content = await collect(bytes);
    const contents = walk(format, [content]);
    artifacts.push({ head, format, content, contents });
    return contents;
  }, o);
  return { artifacts, result };
}

function walk(format: ArtifactFormat, chunks: Iterable<Uint8Array>): ArtifactContents {
  const walker = format.walk();
  for (const chunk of chunks) walker.push(chunk);
  return walker.end();
}

/** A chain of one backup, as the jobs hand it over; with `failure`, half of its bytes come. */
function chainOf<O>(
  { artifacts, result }: Dumped,
  kind: ConnectorKind<O>,
  failure?: Error,
): RestorableChain {
  const restorable = artifacts.map(({ head, content }, index): RestorableArtifact => {
    const digest = createHash("sha256").update(content).digest("hex");
    const bytes = content.byteLength;
    return {
      ...{ number: index + 1, role: head.role, databases: [...head.databases] },
      ...{ format: head.format, codecs: [], rawBytes: bytes, rawSha256: digest },
      ...{ storedBytes: bytes, storedSha256: digest },
      volumes: [{ name: `dump-${index + 1}`, bytes, sha256: digest }],
      async *open() {
        const half = content.subarray(0, Math.floor(bytes / 2));
        yield* inReusedChunks(failure === undefined ? content : half, 65_536);
        if (failure !== undefined) throw failure;
      },
    };
  });
  const now = new Date().toISOString();
  const manifest: Manifest = {
    ...{ formatVersion: 1, id: options.backupId, job: "contract", kind: "full", parent: null },
    source: { kind: kind.kind, id: "s", tag: "s0000000", flavour: kind.title, version: "0" },
    ...{ tool: { name: "dbbackup", version: "0" }, clientTools: [] },
    ...{ startedAt: now, finishedAt: now, consistentAt: result.consistentAt.toISOString() },
    position: { from: result.from, to: result.to },
    ...{ clockOffsetMs: null, settings: {}, omitted: [], warnings: [] },
    artifacts: restorable.map(({ open: _, ...artifact }) => artifact),
  };
  return [{ manifest, artifacts: restorable, inventory: result.inventory }];
}

async function everything(connector: Connector): Promise<Inventory> {
  const databases: DatabaseInventory[] = [];
  for (const name of (await connector.databases(o)).sort()) {
    databases.push(sorted(await connector.inventory(name, o)));
  }
  return { databases };
}

/** Every object of the backup is there, and where both counts are exact they are the same. */
function assertHolds(found: DatabaseInventory, expected: DatabaseInventory): void {
  const key = ({ type, schema, name }: DatabaseInventory["objects"][number]) =>
    JSON.stringify([type, schema, name]);
  const there = new Map(found.objects.map((object) => [key(object), object]));
  assert.ok(expected.objects.length > 0);
  for (const object of expected.objects) {
    const other = there.get(key(object));
    assert.ok(other, `${object.type} ${object.name} is there`);
    if (object.isExact && other.isExact) assert.equal(other.count, object.count, object.name);
  }
}

function sorted({ database, objects }: DatabaseInventory): DatabaseInventory {
  const key = (object: unknown) => JSON.stringify(object);
  return { database, objects: [...objects].sort((a, b) => key(a) < key(b) ? -1 : 1) };
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(new Uint8Array(chunk));
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

/** As producers do it: one buffer, overwritten when the next chunk is asked for. */
function* inReusedChunks(content: Uint8Array, size: number): Generator<Uint8Array> {
  const buffer = new Uint8Array(size);
  for (let at = 0; at < content.byteLength; at += size) {
    const piece = content.subarray(at, at + size);
    buffer.set(piece);
    yield buffer.subarray(0, piece.byteLength);
    buffer.fill(0xee);
  }
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => {
    assert.equal((error as { code?: unknown }).code, expected, String(error));
    return true;
  };
}

function areaOf(area: string): (error: unknown) => boolean {
  return (error) => String((error as { code?: unknown }).code).startsWith(area);
}
