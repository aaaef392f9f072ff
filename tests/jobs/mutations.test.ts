import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { backupPrefix } from "../../src/catalog/names.ts";
import { parseSealName } from "../../src/catalog/seal.ts";
import type { Manifest } from "../../src/contracts/manifest.ts";
import { copyBackups } from "../../src/jobs/copy/copy.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { verifyBackups } from "../../src/jobs/verify/verify.ts";
import { connectorKinds } from "../../src/registry.ts";
import { type MemoryStorage, memoryStorage } from "../support/memoryStorage.ts";
import {
  backUp,
  contentOf,
  contextOf,
  destinationOf,
  jobOf,
  marksIn,
  writeManifest,
} from "./support.ts";

/** One way to change a backup's folder at a destination, and what it is told as. */
interface Mutation {
  readonly name: string;
  readonly change: (storage: MemoryStorage, prefix: string) => void;
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

async function backedUp() {
  const [a, b] = [memoryStorage({ location: "a" }), memoryStorage({ location: "b" })];
  const o = contextOf();
  const job = jobOf({ a, b }, {
    settings: { exclude: ["nothing*"], dumpArgs: [], restoreArgs: ["--quiet"] },
  });
  const prefix = await backUp(job, o);
  return { a, b, o, prefix };
}

async function verify(storage: MemoryStorage, o: JobContext) {
  const results = await verifyBackups({
    destinations: [destinationOf("a", storage)],
    backups: [],
    isDeep: true,
    kinds: connectorKinds,
  }, o);
  return results.map(({ status, problems }) => ({ status, problems }));
}

/** Makes `a` what `b` is, without marks, so that the next mutation begins with a good one. */
function reset(a: MemoryStorage, b: MemoryStorage): void {
  a.objects.clear();
  for (const [key, { body, modifiedAt }] of b.objects) {
    a.objects.set(key, { body: body.slice(), modifiedAt });
  }
}

/** Each is seen by a deep verify, and mended by a copy from the other destination. */
async function assertSeenAndHealed(mutations: readonly Mutation[]): Promise<void> {
  const { a, b, o, prefix } = await backedUp();
  const whole = contentOf(b);
  assert.deepEqual(await verify(a, o), [{ status: "good", problems: [] }]);
  const unseen: string[] = [];
  const unhealed: string[] = [];
  for (const { name, change } of mutations) {
    reset(a, b);
    change(a, prefix);
    assert.notDeepEqual(contentOf(a), whole, `${name} changes nothing`);
    const seen = await verify(a, o);
    if (!seen.every(({ status, problems }) => isBad(status) && problems.length > 0)) {
      unseen.push(`${name}: ${JSON.stringify(seen)}`);
    }
    const request = { sources: [destinationOf("b", b)], to: destinationOf("a", a), wanted: [] };
    const [copied] = await copyBackups(request, o);
    const isSame = JSON.stringify(contentOf(a)) === JSON.stringify(whole);
    if (copied!.status === "failed" || !isSame) unhealed.push(`${name}: ${copied!.status}`);
    assert.ok(!marksIn(a, prefix).includes("damaged"), name);
  }
  assert.deepEqual(unseen, []);
  assert.deepEqual(unhealed, []);
}

function isBad(status: string): boolean {
  return status === "damaged" || status === "flawed";
}

/** Every change of one value inside a JSON document: another one, none, one more, one fewer. */
function changesOf(value: Json, path: string): { name: string; to: Json }[] {
  if (value === null) return [{ name: `${path} set`, to: "2026-01-01T00:00:00Z" }];
  if (typeof value === "boolean") return [{ name: `${path} turned over`, to: !value }];
  if (typeof value === "number") return [{ name: `${path} raised`, to: value + 1 }];
  if (typeof value === "string") {
    const other = /^\d{4}-/.test(value) ? value.replace(/^\d{4}/, "2021") : changed(value);
    return [{ name: `${path} changed`, to: other }];
  }
  if (Array.isArray(value)) {
    const items: readonly Json[] = value;
    const inside = items.flatMap((item, index) =>
      changesOf(item, `${path}.${index}`).map(({ name, to }) => ({
        name,
        to: items.map((old, at) => at === index ? to : old),
      }))
    );
    const ends = items.length === 0 ? [{ name: `${path} grown`, to: ["more"] }] : [
      { name: `${path} without its last`, to: items.slice(0, -1) },
      { name: `${path} with its first twice`, to: [items[0]!, ...items] },
    ];
    return [...inside, ...ends];
  }
  const fields = Object.entries(value);
  return [
    ...fields.flatMap(([field, inner]) =>
      changesOf(inner, `${path}.${field}`).map(({ name, to }) => ({
        name,
        to: { ...value, [field]: to },
      }))
    ),
    ...fields.map(([field]) => ({
      name: `${path} without ${field}`,
      to: Object.fromEntries(fields.filter(([other]) => other !== field)),
    })),
    { name: `${path} with one more`, to: { ...value, more: "1" } },
  ];
}

function changed(text: string): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text.replace(/.$/, (last) => last === "0" ? "1" : "0");
  return text === "full" ? "incremental" : `${text}x`;
}

function manifestIn({ objects }: MemoryStorage, prefix: string): Manifest {
  return JSON.parse(new TextDecoder().decode(objects.get(`${prefix}manifest.json`)!.body));
}

function replace(storage: MemoryStorage, key: string, body: Uint8Array): void {
  storage.objects.set(key, { body, modifiedAt: new Date() });
}

/** The manifest's own text again, as dbbackup writes it. */
function write(storage: MemoryStorage, prefix: string, manifest: Json): void {
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  replace(storage, `${prefix}manifest.json`, new TextEncoder().encode(text));
}

/** Bits turned over all along a file, and everything that an editor or a disk does to its ends. */
function bytesOf(file: (names: readonly string[]) => string, places: number): Mutation[] {
  const at = (storage: MemoryStorage, prefix: string) => {
    const names = [...storage.objects.keys()].map((key) => key.slice(prefix.length));
    return prefix + file(names);
  };
  const edit = (name: string, to: (body: Uint8Array) => Uint8Array): Mutation => ({
    name: `${file(["manifest-SEAL.sha256"])} ${name}`,
    change(storage, prefix) {
      const key = at(storage, prefix);
      replace(storage, key, to(storage.objects.get(key)!.body.slice()));
    },
  });
  const flips = Array.from(
    { length: places },
    (_, index) =>
      edit(`with a bit turned over at ${index}/${places}`, (body) => {
        body[Math.floor(body.length * index / places)]! ^= 1 << (index % 8);
        return body;
      }),
  );
  return [
    ...flips,
    edit("with a line more", (body) => Buffer.concat([body, Buffer.from("\n")])),
    edit("without its last byte", (body) => body.subarray(0, -1)),
    edit("cut in half", (body) => body.subarray(0, body.length / 2)),
    edit("empty", () => new Uint8Array()),
    edit(
      "with lines that end in CR LF",
      (body) => Buffer.from(new TextDecoder().decode(body).replaceAll("\n", "\r\n")),
    ),
    edit("in zeros", (body) => body.fill(0)),
    {
      name: `${file(["manifest-SEAL.sha256"])} gone`,
      change: (storage, prefix) => void storage.objects.delete(at(storage, prefix)),
    },
  ];
}

describe("a deep verify sees, and a copy heals", () => {
  test("every edit of every field of the manifest", async () => {
    const { a, prefix } = await backedUp();
    const mutations = changesOf(manifestIn(a, prefix) as unknown as Json, "manifest").map((
      one,
    ) => ({
      name: one.name,
      change: (storage: MemoryStorage, at: string) => {
        // The second backup has values of its own, so that the change is made anew.
        const own = manifestIn(storage, at) as unknown as Json;
        const to = changesOf(own, "manifest").find(({ name }) => name === one.name)!.to;
        write(storage, at, to);
      },
    }));
    assert.ok(mutations.length > 150, `${mutations.length} edits`);
    await assertSeenAndHealed(mutations);
  });

  test("bits and bytes of the manifest and of RESTORE.txt, anywhere", async () => {
    await assertSeenAndHealed([
      ...bytesOf(() => "manifest.json", 40).filter(({ name }) => !name.endsWith("gone")),
      ...bytesOf(() => "RESTORE.txt", 40),
    ]);
  });

  test("a seal that is gone or another's, and files too many", async () => {
    const extra = (name: string): Mutation => ({
      name,
      change: (storage, prefix) => replace(storage, prefix + name, new Uint8Array(3)),
    });
    const sealOf = (storage: MemoryStorage, prefix: string) =>
      [...storage.objects.keys()].find((key) =>
        parseSealName(key.slice(prefix.length)) !== undefined
      )!;
    await assertSeenAndHealed([
      extra("dump-001-shop.sqlite.v009"),
      extra("dump-007-shop.sqlite"),
      extra("inventory.json.v002"),
      extra(`manifest-${"0".repeat(64)}.sha256`),
      {
        name: "no seal",
        change: (storage, prefix) => void storage.objects.delete(sealOf(storage, prefix)),
      },
      {
        name: "a seal with other facts",
        change(storage, prefix) {
          const key = sealOf(storage, prefix);
          const { body } = storage.objects.get(key)!;
          storage.objects.delete(key);
          replace(storage, key.replace(/_r\d+/, "_r1"), body);
        },
      },
      {
        name: "another's seal",
        change(storage, prefix) {
          storage.objects.delete(sealOf(storage, prefix));
          replace(storage, `${prefix}manifest-${"0".repeat(64)}.sha256`, new Uint8Array(81));
        },
      },
    ]);
  });

  test("every edit of the manifest whose seal was made anew, by what the inventory recorded", async () => {
    const { a, prefix } = await backedUp();
    const names = changesOf(manifestIn(a, prefix) as unknown as Json, "manifest")
      .map(({ name }) => name)
      // Fields that nobody knows are nobody's, and in the inventory's own entry they say nothing.
      .filter((name) => !/restoreText|artifacts\.1.* with one more$/.test(name))
      // For people, and not to be known before the inventory is written.
      .filter((name) => !/artifacts\.1\.(codecs|without parameters)/.test(name))
      // The sha256 beside it says as much.
      .filter((name) => !/artifacts\.1 without rawCrc32/.test(name))
      // What only a newer program reads is neither good nor damaged.
      .filter((name) => name !== "manifest.formatVersion raised");
    await assertSeenAndHealed(names.map((name) => ({
      name,
      change(storage, at) {
        const own = manifestIn(storage, at) as unknown as Json;
        writeManifest(storage, at, changesOf(own, "manifest").find((one) => one.name === name)!.to);
      },
    })));
  });
});

describe("a folder that is not its own", () => {
  const others: Readonly<Record<string, (manifest: Manifest) => Partial<Manifest>>> = {
    "of another job": () => ({ job: "crm" }),
    "of another time": ({ startedAt }) => ({ startedAt: startedAt.replace(/^\d{4}/, "2031") }),
    "of another id": () => ({ id: "zzzzzzzz" }),
    "of another server": ({ source }) => ({ source: { ...source, tag: "s000000" } }),
  };
  for (const [name, over] of Object.entries(others)) {
    test(`${name} is told, whether it was copied or renamed`, async () => {
      const { a, o, prefix } = await backedUp();
      const manifest = manifestIn(a, prefix);
      const { job, id, kind, source: { tag: sourceTag }, startedAt } = {
        ...manifest,
        ...over(manifest),
      };
      const parentId = undefined;
      const at = { job, id, kind, sourceTag, parentId, startedAt: new Date(startedAt) };
      const other = backupPrefix(at);
      assert.notEqual(other, prefix);
      for (const [key, object] of [...a.objects]) a.objects.set(key.replace(prefix, other), object);
      const results = await verify(a, o);
      assert.deepEqual(results.map(({ status }) => status).sort(), ["damaged", "good"]);
      assert.deepEqual([marksIn(a, prefix), marksIn(a, other)], [["verified"], ["damaged"]]);
      const [problem] = results.flatMap(({ problems }) => problems);
      assert.match(problem!.code, /^verification\/(folder|manifest)$/);
    });
  }
});
