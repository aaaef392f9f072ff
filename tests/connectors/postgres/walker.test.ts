import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import fc from "fast-check";
import { archiveFormat } from "../../../src/connectors/postgres/archive/format.ts";
import { type ArchiveHead, tocReader } from "../../../src/connectors/postgres/archive/toc.ts";
import { hasCode } from "../../../src/core/errors.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import type { ArtifactContents } from "../../../src/contracts/format.ts";
import { needs } from "../../support/needs.ts";
import { postgres } from "../../support/postgres.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { shared } from "../../support/shared.ts";
import { code, dumpOf, optionsOf } from "./opened.ts";
import { sample } from "./sample.ts";

function walk(chunks: Iterable<Uint8Array>): ArtifactContents {
  const walker = archiveFormat.walk();
  for (const chunk of chunks) walker.push(chunk);
  return walker.end();
}

/** Pieces of these sizes, each in a buffer that is overwritten afterwards. */
function* pieces(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const piece = bytes.slice(at, at + sizes[turn % sizes.length]!);
    at += piece.length;
    yield piece;
    piece.fill(0xee);
  }
}

function headOf(bytes: Uint8Array): ArchiveHead {
  const reader = tocReader();
  reader.push(bytes);
  return reader.head();
}

/** Where the data of an archive begins. */
function dataStart(bytes: Uint8Array): number {
  return bytes.length - tocReader().push(bytes)!.length;
}

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`archives of PostgreSQL ${version}`, () => {
    const archive = () =>
      shared(`postgres archive ${version}`, async () => {
        const server = await postgres(version);
        const database = await server.createDatabase();
        await server.psql(database, sample);
        const { artifacts } = await dumpOf(optionsOf(server, database));
        const dump = artifacts.find(({ head }) => head.role === "dump")!;
        return { server, database, bytes: dump.bytes };
      });

    test("are counted row by row", async () => {
      const { server, database, bytes } = await archive();
      const [found] = walk([bytes]).databases;
      const tables = found!.objects.filter(({ type, count }) => type === "table" && count != null);
      assert.ok(tables.length >= 10);
      for (const { schema, name, count, isExact, bytes } of tables) {
        // A row ends in a line feed at least.
        assert.ok(bytes! >= count! && (count! > 0 || bytes === 0), `${name}: ${bytes} bytes`);
        const quoted = [schema!, name].map((one) => `"${one.replaceAll('"', '""')}"`).join(".");
        assert.equal(
          String(count),
          await server.psql(database, `SELECT count(*) FROM ONLY ${quoted}`),
          quoted,
        );
        assert.equal(isExact, true);
      }
      const { bytes: largeBytes, ...large } = found!.objects.find(({ type }) =>
        type === "large-objects"
      )!;
      assert.ok(largeBytes! > 0);
      assert.deepEqual(large, {
        type: "large-objects",
        name: "large objects",
        count: 3,
        isExact: true,
      });
    });

    test("are walked the same however they are cut", async () => {
      const { bytes } = await archive();
      const whole = walk([bytes]);
      const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5000 }));
      fc.assert(
        fc.property(
          fc.array(size, { minLength: 1, maxLength: 8 }),
          (sizes) => assert.deepEqual(walk(pieces(bytes, sizes)), whole),
        ),
        { numRuns: 60 },
      );
    });

    test("are never whole when cut off", async () => {
      const { bytes } = await archive();
      const start = dataStart(bytes);
      fc.assert(
        fc.property(
          fc.oneof(
            fc.integer({ min: 0, max: bytes.length - 1 }),
            fc.integer({ min: start, max: bytes.length - 1 }),
          ),
          (length) => {
            assert.throws(
              () => walk([bytes.subarray(0, length)]),
              code("verification/truncated"),
              `${length} of ${bytes.length}`,
            );
          },
        ),
        { numRuns: 400, examples: [[0], [1], [start], [bytes.length - 1], [bytes.length - 5]] },
      );
    });

    test("show a block that is missing, doubled, of the wrong type or followed by more", async () => {
      const { bytes } = await archive();
      const start = dataStart(bytes);
      const second = blocksOf(bytes, start)[1]!;
      const without = Buffer.concat([bytes.subarray(0, start), bytes.subarray(second)]);
      assert.throws(() => walk([without]), code("verification/truncated", /1 blocks .* missing/));
      const doubled = Buffer.concat([bytes.subarray(0, second), bytes.subarray(start)]);
      assert.throws(() => walk([doubled]), code("verification/structure", /does not expect/));
      for (const type of [0, 2, 3, 4, 255]) {
        const flipped = bytes.slice();
        flipped[start] = type;
        assert.throws(() => walk([flipped]), code("verification/structure", /has the type/));
      }
      const longer = Buffer.concat([bytes, Buffer.from("\x01\x00\x00\x00\x00\x00 more")]);
      assert.throws(() => walk([longer]), code("verification/structure"));
    });

    test("show a damaged head or length", async () => {
      const { bytes } = await archive();
      const start = dataStart(bytes);
      const changes: [number, number][] = [
        ...[[0, 0x51], [5, 2], [6, 99], [7 + 1, 3], [10, 9]] as [number, number][],
        [start + 1, 7],
        [start + 6, 2],
      ];
      for (const [at, value] of changes) {
        const flipped = bytes.slice();
        flipped[at] = value;
        assert.throws(
          () => walk([flipped]),
          (error) => hasCode(error, "verification/"),
          `byte ${at} as ${value}`,
        );
      }
    });

    test("with many rows in a chunk, or a row in many, are counted, too", async () => {
      const bytes = (await archive()).bytes.slice();
      const start = dataStart(bytes);
      const merged = Buffer.concat([bytes.subarray(0, start), mergeChunks(bytes, start, 3000)]);
      assert.deepEqual(walk([merged]), walk([bytes]));
      // What pg_dump 19 writes is looked at byte by byte.
      const named = Buffer.from(bytes);
      const tool = named.indexOf(`\0${version}.`, named.indexOf(`\0${version}.`) + 1) + 1;
      bytes.set(Buffer.from("19"), tool);
      assert.equal(Number.parseInt(headOf(bytes).header.toolVersion), 19);
      for (const size of [1, 4, 100, 3000]) {
        const cut = Buffer.concat([bytes.subarray(0, start), mergeChunks(bytes, start, size)]);
        assert.notEqual(cut.length, bytes.length);
        assert.deepEqual(walk([cut]), walk([bytes]), `${size}`);
        assert.deepEqual(walk(pieces(cut, [17, 1000])), walk([bytes]), `${size} in pieces`);
      }
    });

    test("with rows that do not come to their end are cut off, whatever their chunks", async () => {
      const { bytes } = await archive();
      const start = dataStart(bytes);
      const end = Buffer.from("\\.\n\n\n");
      for (const size of [4, 3000]) {
        const cut = Buffer.concat([bytes.subarray(0, start), mergeChunks(bytes, start, size, end)]);
        assert.throws(() => walk([cut]), code("verification/truncated", /have no end/), `${size}`);
      }
    });

    test("are read whole by pg_restore in a native check", async () => {
      const { bytes } = await archive();
      if (version === 18) return; // its tools are in no usual folder
      const o = { runtime: testRuntime(), signal: never };
      await archiveFormat.nativeCheck!(bytesOf(bytes), o);
      await assert.rejects(
        archiveFormat.nativeCheck!(bytesOf(bytes.slice(0, -20)), o),
        code("verification/native-check"),
      );
    });
  });
}

/** The chunks of each block: an independent, simple reading. */
function readBlocks(bytes: Uint8Array, start: number) {
  const view = Buffer.from(bytes);
  let at = start;
  const int = () => {
    const value = view.readUInt32LE(at + 1);
    at += 5;
    return value;
  };
  const blocks: { at: number; type: number; id: number; lists: [number, Buffer[]][] }[] = [];
  while (at < bytes.length) {
    const block = { at, type: view[at++]!, id: int(), lists: [] as [number, Buffer[]][] };
    const chunks = () => {
      const list: Buffer[] = [];
      for (let size = int(); size > 0; size = int()) {
        list.push(view.subarray(at, at + size));
        at += size;
      }
      return list;
    };
    if (block.type === 1) block.lists.push([0, chunks()]);
    else for (let oid = int(); oid > 0; oid = int()) block.lists.push([oid, chunks()]);
    blocks.push(block);
  }
  return blocks;
}

function blocksOf(bytes: Uint8Array, start: number): number[] {
  return readBlocks(bytes, start).map(({ at }) => at);
}

/** The data with other chunks, as a pg_dump with buffers would write it; perhaps without an end. */
function mergeChunks(
  bytes: Uint8Array,
  start: number,
  size: number,
  without = Buffer.alloc(0),
): Buffer {
  const int = (value: number) => {
    const written = Buffer.alloc(5);
    written.writeUInt32LE(value, 1);
    return written;
  };
  return Buffer.concat(
    readBlocks(bytes, start).flatMap(({ type, id, lists }) => [
      Buffer.from([type]),
      int(id),
      ...lists.flatMap(([oid, chunks]) => {
        const whole = Buffer.concat(chunks);
        const isEnded = whole.subarray(-without.length).equals(without);
        const all = isEnded ? whole.subarray(0, -without.length) : whole;
        const cut: Buffer[] = [];
        for (let at = 0; at < all.length; at += size) {
          const piece = all.subarray(at, at + size);
          cut.push(int(piece.length), piece);
        }
        return [...type === 3 ? [int(oid)] : [], ...cut, int(0)];
      }),
      ...type === 3 ? [int(0)] : [],
    ]),
  );
}
