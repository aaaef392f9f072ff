import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Since } from "../../src/contracts/changes.ts";
import type { Connector, ConnectorKind } from "../../src/contracts/connector.ts";
import type { DumpPlan, DumpResult } from "../../src/contracts/dump.ts";
import type { OpenableBackup } from "../../src/contracts/restore.ts";
import type { ArtifactFormat } from "../../src/contracts/format.ts";
import type { Artifact, Kind, Manifest, Position } from "../../src/contracts/manifest.ts";
import type { Runtime } from "../../src/core/runtime.ts";

/** What {@link changesContract} needs of an implementation. */
export interface ChangesSetup<O> {
  readonly kind: ConnectorKind<O>;
  /** What connectors are opened with. */
  readonly runtime: Runtime;
  /** The options of a database of its own for each call, with some rows. */
  source(): Promise<O>;
  /** Changes it; awaited before the next backup. */
  change(options: O): Promise<void>;
  /** Takes away what the next increment would need of the log. */
  breakLog(options: O): Promise<void>;
}

/** One backup, as far as a next one builds on it. */
interface Taken extends OpenableBackup {
  readonly result: DumpResult;
  /** With all that it builds on, the full backup first. */
  readonly chain: readonly OpenableBackup[];
}

/**
 * The tests that every kind of database passes that has incremental or differential backups; see
 * docs/development.md. Imports nothing but `node:` and the contract's types, so that authors of plugins
 * can use it.
 *
 * @param name of the implementation, for the tests' names
 * @param make is called once, when the first test runs
 */
export function changesContract<O>(name: string, make: () => Promise<ChangesSetup<O>>): void {
  let made: Promise<ChangesSetup<O>> | undefined;
  const setup = () => made ??= make();

  async function withSource<T>(
    use: (connector: Connector, options: O, setup: ChangesSetup<O>) => Promise<T>,
  ): Promise<T> {
    const one = await setup();
    const options = await one.source();
    const connector = await one.kind.open(options, { ...o, runtime: one.runtime });
    try {
      return await use(connector, options, one);
    } finally {
      await connector.close();
    }
  }

  async function take(connector: Connector, plan: Plan): Promise<Taken> {
    return await takeInMemory(connector, plan, (await setup()).kind.formats);
  }

  async function kindsToTest(): Promise<Exclude<Kind, "full">[]> {
    const { kinds = ["full"] } = (await setup()).kind;
    return kinds.flatMap((kind) => kind === "full" ? [] : [kind]);
  }

  async function joins(to: Position | undefined, from: Position | undefined): Promise<boolean> {
    const { positions } = (await setup()).kind;
    assert.ok(to !== undefined && from !== undefined, "each has both its positions");
    return JSON.stringify(to) === JSON.stringify(from) || positions?.compare(to, from) === 0;
  }

  describe(`${name} as a source of changes`, () => {
    test("has more kinds than full, and says so of a server that can", async () => {
      const kinds = await kindsToTest();
      assert.ok(kinds.length > 0);
      await withSource(async (connector) => {
        const { capabilities, continues } = await connector.inspect({ ...o, job });
        for (const kind of kinds) assert.ok(capabilities.includes(kind), kind);
        assert.equal(continues, undefined, "it was not asked");
      });
    });

    test("takes a full backup that others can build on", async () => {
      await withSource(async (connector) => {
        const full = await take(connector, { kind: "full", isBase: true });
        assert.notEqual(full.result.to, undefined);
        for (const kind of await kindsToTest()) {
          const { continues } = await connector.inspect({ ...o, job, since: sinceOf(full, kind) });
          assert.deepEqual(continues, { isPossible: true }, kind);
        }
      });
    });

    test("starts each backup exactly where its parent ended, piece by piece", async () => {
      await withSource(async (connector, options, { change }) => {
        for (const kind of await kindsToTest()) {
          const full = await take(connector, { kind: "full", isBase: true });
          let parent = full;
          for (let count = 0; count < 3; count++) {
            await change(options);
            const next = await take(connector, { kind, isBase: true, parent });
            assert.ok(await joins(parent.result.to, next.result.from), `${kind} ${count}`);
            let end = next.result.from;
            for (const { from, to } of next.artifacts.filter((one) => one.from !== undefined)) {
              assert.ok(await joins(end, from));
              end = to;
            }
            if (kind === "incremental") parent = next;
          }
        }
      });
    });

    test("keeps windows that touch, where it keeps a log", async () => {
      await withSource(async (connector, options, { change }) => {
        const full = await take(connector, { kind: "full", isBase: true });
        for (const kind of await kindsToTest()) {
          await change(options);
          const { window } = (await take(connector, { kind, isBase: true, parent: full })).result;
          assert.equal(window === undefined, full.result.window === undefined);
          if (window === undefined) continue;
          assert.equal(window.from.getTime(), full.result.window!.to.getTime());
          assert.ok(window.to >= window.from);
        }
      });
    });

    test("takes an acknowledgement twice, and one that is older than the last", async () => {
      await withSource(async (connector, options, { change }) => {
        const [kind] = (await kindsToTest()).toReversed();
        const full = await take(connector, { kind: "full", isBase: true });
        await change(options);
        const next = await take(connector, { kind: kind!, isBase: true, parent: full });
        for (const { manifest } of [full, full, next, next, full]) {
          await connector.acknowledge?.(manifest, o);
        }
        const parent = kind === "incremental" ? next : full;
        const since = sinceOf(parent, kind!);
        const { continues } = await connector.inspect({ ...o, job, since });
        assert.deepEqual(continues, { isPossible: true });
      });
    });

    test("says why it cannot go on when its log is gone", async () => {
      await withSource(async (connector, options, { breakLog }) => {
        const full = await take(connector, { kind: "full", isBase: true });
        await breakLog(options);
        for (const kind of await kindsToTest()) {
          const { continues } = await connector.inspect({ ...o, job, since: sinceOf(full, kind) });
          assert.equal(continues?.isPossible, false);
          assert.ok(continues.isPossible === false && continues.reason.length > 5);
          assert.doesNotMatch(continues.reason, /[.!]$/, "it is the rest of a sentence");
        }
      });
    });

    test("orders positions, where it compares them", async () => {
      const { kind } = await setup();
      if (kind.positions === undefined) return;
      const { compare } = kind.positions;
      await withSource(async (connector, options, { change }) => {
        const full = await take(connector, { kind: "full", isBase: true });
        await change(options);
        const [other] = (await kindsToTest()).toReversed();
        const next = await take(connector, { kind: other!, isBase: true, parent: full });
        const [a, b] = [full.result.to!, next.result.to!];
        assert.ok(compare(a, b)! < 0 && compare(b, a)! > 0);
        assert.deepEqual([compare(a, a), compare(a, { type: "no such log" })], [0, undefined]);
      });
    });
  });
}

const o = { signal: new AbortController().signal };
const job = "contract";

function sinceOf({ manifest }: Taken, kind: Kind): Since {
  return { kind, parent: manifest };
}

type Plan = Pick<DumpPlan, "kind" | "isBase"> & { readonly parent?: Taken };

/** Takes a backup and keeps it in memory. */
async function takeInMemory(
  connector: Connector,
  plan: Plan,
  formats: readonly ArtifactFormat[],
): Promise<Taken> {
  const { parent } = plan;
  const pieces: { head: Artifact; bytes: Uint8Array }[] = [];
  const walkers = new Map(formats.map((one) => [one.id, one]));
  const result = await connector.dump({
    kind: plan.kind,
    isBase: plan.isBase ?? false,
    job,
    ...parent === undefined ? {} : { parent, chain: parent.chain },
    settings: {},
    stallMs: 60_000,
  }, async (head, bytes) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of bytes) chunks.push(new Uint8Array(chunk));
    const joined = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
    const { role, databases, format } = head;
    const artifact = { number: pieces.length + 1, role, databases: [...databases], format };
    pieces.push({
      head: { ...artifact, ...head.span?.(), ...stored(joined.byteLength) },
      bytes: joined,
    });
    const walker = walkers.get(format)!.walk();
    walker.push(joined);
    return walker.end();
  }, o);
  const id = `backup${++count}`;
  const manifest: Manifest = {
    formatVersion: 1,
    id,
    job,
    kind: plan.kind,
    parent: parent === undefined
      ? null
      : { id: parent.manifest.id, manifestSha256: "0".repeat(64) },
    source: { kind: "x", id: "x", tag: "s000000", flavour: "x", version: "1" },
    tool: { name: "dbbackup", version: "0" },
    clientTools: [],
    startedAt: result.consistentAt.toISOString(),
    finishedAt: result.consistentAt.toISOString(),
    consistentAt: result.consistentAt.toISOString(),
    ...result.window === undefined ? {} : {
      window: { from: result.window.from.toISOString(), to: result.window.to.toISOString() },
    },
    position: {
      ...result.from === undefined ? {} : { from: result.from },
      ...result.to === undefined ? {} : { to: result.to },
    },
    clockOffsetMs: null,
    settings: {},
    omitted: [],
    warnings: [],
    artifacts: pieces.map(({ head }) => head),
  };
  const artifacts = pieces.map(({ head, bytes }) => ({
    ...head,
    async *open() {
      yield bytes;
      await Promise.resolve();
    },
  }));
  return { manifest, artifacts, result, chain: [...parent?.chain ?? [], { manifest, artifacts }] };
}

let count = 0;

function stored(bytes: number) {
  const sha256 = "0".repeat(64);
  return {
    codecs: [],
    rawBytes: bytes,
    rawSha256: sha256,
    storedBytes: bytes,
    storedSha256: sha256,
    volumes: [{ name: "x", bytes, sha256 }],
  };
}
