import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { sha256Of } from "../../src/catalog/manifest.ts";
import { databaseFromUrl } from "../../src/config/adhoc.ts";
import type { DatabaseDefinition } from "../../src/config/model.ts";
import type { Manifest } from "../../src/contracts/manifest.ts";
import { BackupError } from "../../src/core/errors.ts";
import { listRefs, showBackup } from "../../src/jobs/list/list.ts";
import { prepareRestore } from "../../src/jobs/restore/restore.ts";
import { withPruneLock } from "../../src/jobs/shared/lock.ts";
import type { RestoreRequest } from "../../src/jobs/restore/types.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { verifyBackups } from "../../src/jobs/verify/verify.ts";
import { connectorKinds } from "../../src/registry.ts";
import { type MemoryStorage, memoryStorage } from "../support/memoryStorage.ts";
import { tempDir } from "../support/workspace.ts";
import {
  backUp,
  contextOf,
  destinationOf,
  jobOf,
  marksIn,
  restoreRequest,
  unreachable,
  writeManifest,
} from "./support.ts";

const childId = "c0000001";

/** A full backup at `a` and `b`, and one that builds on it, made of the same files, at `a`. */
async function chain() {
  const [a, b] = [memoryStorage({ location: "a" }), memoryStorage({ location: "b" })];
  const o = contextOf();
  const full = await backUp(jobOf({ a, b }), o);
  const [job, time, , fullId, tag] = full.slice(0, -1).split(/[/_]/);
  const child = `${job}/${time!.replace(/^\d{4}/, "2025")}_incr_${childId}_${tag}_${fullId}/`;
  const manifest = read(a, full);
  const manifestSha = sha256Of(a.objects.get(`${full}manifest.json`)!.body);
  for (const [key, object] of [...a.objects]) a.objects.set(key.replace(full, child), object);
  writeManifest(a, child, {
    ...manifest,
    id: childId,
    startedAt: manifest.startedAt.replace(/^\d{4}/, "2025"),
    kind: "incremental",
    position: { from: manifest.position.to, to: manifest.position.to },
    parent: { id: fullId!, manifestSha256: manifestSha },
  });
  return { a, b, o, full, child, fullId: fullId! };
}

function read({ objects }: MemoryStorage, prefix: string): Manifest {
  return JSON.parse(new TextDecoder().decode(objects.get(`${prefix}manifest.json`)!.body));
}

function named(storages: Readonly<Record<string, MemoryStorage>>) {
  return Object.entries(storages).map(([name, one]) => destinationOf(name, one));
}

/** SQLite itself has full backups only. */
function takingChains(database: DatabaseDefinition): DatabaseDefinition {
  const { kind } = database;
  const plan = { steps: [], isCheckedFirst: false, warnings: [], target: "a test" };
  const open: typeof kind.open = async (options, o) => {
    const connector = await kind.open(options, o);
    return { ...connector, planRestore: () => Promise.resolve(plan) };
  };
  return { ...database, kind: { ...kind, open } };
}

/** Where the child would be restored from. */
async function plan(storages: Readonly<Record<string, MemoryStorage>>, o: JobContext) {
  const path = join(tempDir("target"), "back.db");
  const prepared = await prepareRestore(requestOf(storages, path), o);
  await prepared.close();
  return prepared.from;
}

function requestOf(
  storages: Readonly<Record<string, MemoryStorage>>,
  path: string,
): RestoreRequest {
  const target = takingChains(databaseFromUrl(`sqlite:${path}`, connectorKinds));
  return restoreRequest(named(storages), target, { backup: childId });
}

async function verify(destinations: ReturnType<typeof named>, o: JobContext) {
  const wanted = { backups: [childId], isDeep: false, kinds: connectorKinds, destinations };
  const [result] = await verifyBackups(wanted, o);
  return result!;
}

describe("restore of a chain", () => {
  test("takes the parent's copy whose manifest is what the child was made with", async () => {
    const { a, b, o, full } = await chain();
    assert.equal(await plan({ a, b }, o), "a");
    writeManifest(a, full, { ...read(a, full), warnings: ["changed"] });
    assert.equal(await plan({ a, b }, o), "b, a");
    assert.deepEqual(marksIn(a, full), [], "by itself it restores");
  });

  test("fails where no copy of the parent is what it was", async () => {
    const { a, b, o, full } = await chain();
    for (const one of [a, b]) {
      writeManifest(one, full, { ...read(one, full), warnings: ["changed"] });
    }
    await assert.rejects(plan({ a, b }, o), { code: "verification/broken-chain" });
  });

  test("fails where manifest and folder name different parents", async () => {
    const { a, b, o, child } = await chain();
    const parent = { ...read(a, child).parent!, id: "zzzzzzzz" };
    writeManifest(a, child, { ...read(a, child), parent });
    await assert.rejects(plan({ a, b }, o), { code: "verification/manifest" });
    assert.deepEqual(marksIn(a, child), ["damaged"]);
  });
});

describe("a chain that is being restored", () => {
  test("is kept from prune with its parents, at every place it may be read from", async () => {
    const { a, b, o } = await chain();
    const path = join(tempDir("target"), "back.db");
    const prepared = await prepareRestore(requestOf({ a, b }, path), o);
    for (const location of ["a", "b"]) {
      const pruning = withPruneLock({ job: "shop", location }, o, () => Promise.resolve());
      await assert.rejects(pruning, { code: "locked/backups" }, location);
    }
    await prepared.close();
    await withPruneLock({ job: "shop", location: "b" }, o, () => Promise.resolve());
  });
});

describe("verify of a chain", () => {
  test("is good with its parent here, as it was", async () => {
    const { a, b, o } = await chain();
    assert.deepEqual(await verify(named({ a, b }), o), {
      id: childId,
      job: "shop",
      destination: "a",
      status: "good",
      checks: ["sizes"],
      problems: [],
      notes: [],
    });
  });

  test("is good with a note when its parent lies only elsewhere", async () => {
    const { a, b, o, full, fullId } = await chain();
    for (const key of a.objects.keys()) if (key.startsWith(full)) a.objects.delete(key);
    const { status, notes } = await verify(named({ a, b }), o);
    assert.equal(status, "good");
    const note = `${fullId}, which it builds on, is not here; a restore reads it at "b"`;
    assert.deepEqual(notes, [note]);
  });

  test("is good with a note when another copy of its parent is what it was", async () => {
    const { a, b, o, full, fullId } = await chain();
    writeManifest(a, full, { ...read(a, full), warnings: ["changed"] });
    const { status, notes } = await verify(named({ a, b }), o);
    assert.equal(status, "good");
    assert.deepEqual(notes, [`${fullId}, which it builds on, is not here what it was`]);
  });

  test("is damaged when no copy of its parent is what it was, or none is there", async () => {
    const { a, o, full, child } = await chain();
    writeManifest(a, full, { ...read(a, full), warnings: ["changed"] });
    const changed = await verify(named({ a }), o);
    assert.deepEqual(changed.problems.map(({ code }) => code), ["verification/broken-chain"]);
    assert.deepEqual(marksIn(a, child), [], "it is itself what was stored");
    for (const key of a.objects.keys()) if (key.startsWith(full)) a.objects.delete(key);
    const gone = await verify(named({ a }), o);
    assert.deepEqual(gone.problems.map(({ code }) => code), ["verification/broken-chain"]);
  });

  test("is unchecked when its parent may be where nobody can look", async () => {
    const { a, o, full, child } = await chain();
    for (const key of a.objects.keys()) if (key.startsWith(full)) a.objects.delete(key);
    const mute = unreachable("b", new BackupError("storage/unavailable", "nobody there"));
    const { status, problems } = await verify([...named({ a }), mute], o);
    assert.deepEqual([status, problems], ["unchecked", []]);
    assert.deepEqual(marksIn(a, child), []);
  });
});

describe("verify", () => {
  test("passes over what was pruned since it was listed, and leaves no mark there", async () => {
    const { a, o, child, full } = await chain();
    const get: MemoryStorage["get"] = (key, options) => {
      if (key.startsWith(child)) {
        for (const key of a.objects.keys()) if (key.startsWith(child)) a.objects.delete(key);
      }
      return a.get(key, options);
    };
    const wanted = { backups: [], isDeep: true, kinds: connectorKinds };
    const results = await verifyBackups(
      { ...wanted, destinations: named({ a: { ...a, get } }) },
      o,
    );
    assert.deepEqual(results.map(({ id, status }) => [id, status]), [[full.split("_")[2], "good"]]);
    assert.ok(![...a.objects.keys()].some((key) => key.startsWith(child)));
  });
});

describe("a look at one backup", () => {
  test("reads no manifest but its own, and each only once", async () => {
    const { a, b, o, fullId } = await chain();
    const count = () => a.calls.get + b.calls.get;
    const before = count();
    const { refs } = await listRefs(named({ a, b }), o);
    assert.deepEqual(refs.map(({ id }) => id).sort(), [childId, fullId].sort());
    assert.equal(count() - before, 0);
    const { backup, chain: links } = await showBackup(named({ a, b }), "c000", o);
    assert.deepEqual([backup.id, links.map(({ id }) => id)], [childId, [fullId, childId]]);
    assert.equal(count() - before, 1);
    await showBackup(named({ a, b }), "c000", o);
    assert.equal(count() - before, 1);
  });
});
