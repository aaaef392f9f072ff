import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { readCatalog } from "../../src/catalog/catalog.ts";
import { adHocJob } from "../../src/config/adhoc.ts";
import type { JobDefinition } from "../../src/config/model.ts";
import type { Manifest } from "../../src/contracts/manifest.ts";
import type { JobEvent, RunEvent, RunResult } from "../../src/contracts/run.ts";
import type { Storage } from "../../src/contracts/storage.ts";
import type { Strategy } from "../../src/contracts/strategy.ts";
import { BackupError } from "../../src/core/errors.ts";
import { previewBackup } from "../../src/jobs/backup/preview.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import { copyBackups } from "../../src/jobs/copy/copy.ts";
import { pruneBackups } from "../../src/jobs/prune/prune.ts";
import { resetJob } from "../../src/jobs/reset/reset.ts";
import { prepareRestore } from "../../src/jobs/restore/restore.ts";
import type { RestoreRequest } from "../../src/jobs/restore/types.ts";
import type { JobContext } from "../../src/jobs/shared/context.ts";
import { verifyBackups } from "../../src/jobs/verify/verify.ts";
import { differential } from "../../src/strategies/differential.ts";
import { incremental } from "../../src/strategies/incremental.ts";
import { type MemoryStorage, memoryStorage } from "../support/memoryStorage.ts";
import { linesKind, type LinesState, linesState } from "../support/numberedLines.ts";
import { never } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";
import { contextOf, destinationOf, flipBit, restoreRequest, writeManifest } from "./support.ts";

const startMs = Date.parse("2026-11-23T12:00:00Z");
const minuteMs = 60_000;

interface World {
  readonly state: LinesState;
  readonly path: string;
  readonly stores: Readonly<Record<string, MemoryStorage>>;
  readonly o: JobContext;
  job: JobDefinition;
  /** The clock, in milliseconds. */
  nowMs: number;
  /** Writes the next lines, one a second. */
  write(count?: number): void;
  run(
    o?: Partial<JobContext> & { kind?: "full" | "incremental" | "differential" },
  ): Promise<RunResult>;
  lines(): string;
}

/** A file, its destinations and a job; each run is a minute after the one before. */
function world(
  { strategy = incremental(), names = ["a"], state = linesState(), over = {} }: {
    readonly strategy?: Strategy;
    readonly names?: readonly string[];
    readonly state?: LinesState;
    readonly over?: Readonly<Record<string, (storage: MemoryStorage) => Storage>>;
  } = {},
): World {
  const path = join(tempDir("lines"), "shop.lines");
  writeFileSync(path, "");
  const stores = Object.fromEntries(
    names.map((name) => [name, memoryStorage({ location: name, now: () => new Date(one.nowMs) })]),
  );
  const kind = linesKind(state);
  const destinations = Object.entries(stores).map(([name, storage]) =>
    destinationOf(name, over[name]?.(storage) ?? storage)
  );
  let count = 0;
  const one: World = {
    state,
    path,
    stores,
    nowMs: startMs,
    o: contextOf(() => new Date(one.nowMs)),
    job: {
      ...adHocJob({ name: "shop", kind, options: { path } }, destinations, {
        name: "shop",
        compression: { codec: "gzip" },
        accept: [],
      }),
      strategy,
    },
    write(more = 1) {
      for (let index = 0; index < more; index++) {
        appendFileSync(path, `${count++} ${one.nowMs + index * 1000} change\n`);
      }
    },
    async run(over = {}) {
      one.nowMs += minuteMs;
      return await runBackup(one.job, { ...one.o, ...over });
    },
    lines: () => readFileSync(path, "utf8"),
  };
  one.write();
  return one;
}

/** Runs that each have to succeed. */
async function taken(one: World, count: number): Promise<Manifest[]> {
  const manifests: Manifest[] = [];
  for (let index = 0; index < count; index++) {
    one.write();
    const result = await one.run();
    assert.equal(result.status, "success", result.error?.message);
    manifests.push(result.manifest!);
  }
  return manifests;
}

function request(one: World, over: Partial<RestoreRequest> = {}): RestoreRequest {
  const path = join(tempDir("target"), "back.lines");
  const target = { ...one.job.database, options: { path } };
  return restoreRequest(one.job.destinations, target, over);
}

/** What is at the target after a restore, and how many backups it took. */
async function restored(one: World, over: Partial<RestoreRequest> = {}) {
  const wanted = request(one, over);
  const prepared = await prepareRestore(wanted, one.o);
  try {
    await prepared.run();
    const { path } = wanted.target.options as { path: string };
    return { text: readFileSync(path, "utf8"), prepared };
  } finally {
    await prepared.close();
  }
}

async function verified(one: World, isDeep = true) {
  const { destinations, database } = one.job;
  return await verifyBackups(
    { destinations, backups: [], isDeep, kinds: [database.kind] },
    one.o,
  );
}

function prefixOf({ job, startedAt, kind, id, source, parent }: Manifest): string {
  const time = startedAt.replace(/\.\d+Z$/, "Z").replaceAll(/[-:]/g, "");
  const short = { full: "full", incremental: "incr", differential: "diff" }[kind]!;
  const tail = parent === null ? "" : `_${parent.id}`;
  return `${job}/${time}_${short}_${id}_${source.tag}${tail}/`;
}

function drop({ objects }: MemoryStorage, prefix: string): void {
  for (const key of [...objects.keys()]) if (key.startsWith(prefix)) objects.delete(key);
}

function readManifestAt({ objects }: MemoryStorage, prefix: string): Manifest {
  return JSON.parse(new TextDecoder().decode(objects.get(`${prefix}manifest.json`)!.body));
}

const kindsOf = (manifests: readonly Manifest[]) => manifests.map(({ kind }) => kind);

describe("a chain of increments", () => {
  test("of 50 has exactly one full backup, joins, verifies and restores to its end", async () => {
    const one = world();
    const manifests = await taken(one, 51);
    assert.deepEqual(kindsOf(manifests), ["full", ...Array(50).fill("incremental")]);
    for (const [index, manifest] of manifests.entries()) {
      assert.equal(manifest.parent?.id, manifests[index - 1]?.id);
      if (index === 0) continue;
      assert.deepEqual(manifest.position.from, manifests[index - 1]!.position.to);
      const [log] = manifest.artifacts;
      assert.deepEqual([log!.role, log!.from, log!.to], [
        "log",
        manifest.position.from,
        manifest.position.to,
      ]);
    }
    assert.equal((await restored(one)).text, one.lines());
    assert.deepEqual([...new Set((await verified(one)).map(({ status }) => status))], ["good"]);
    assert.deepEqual(one.state.acknowledged.at(-1), manifests.at(-1)!.id);
    assert.equal(one.state.plans.filter(({ isBase }) => isBase === true).length, 51);
  });

  test("gives a dump its chain with artifacts that can be read", async () => {
    const one = world();
    const [full] = await taken(one, 2);
    await taken(one, 1);
    const { chain } = one.state.plans.at(-1)!;
    assert.deepEqual(kindsOf(chain!.map(({ manifest }) => manifest)), ["full", "incremental"]);
    const [parent] = chain!;
    assert.equal(parent!.manifest.id, full!.id);
    assert.equal(one.state.plans.at(-1)!.parent, chain![1]);
    const bytes: string[] = [];
    for await (const chunk of parent!.artifacts[0]!.open({ signal: never })) {
      bytes.push(new TextDecoder().decode(chunk));
    }
    assert.match(bytes.join(""), /^0 \d+ change\n1 /);
  });

  test("begins again when a full one is due, and says why", async () => {
    const one = world({ strategy: incremental({ fullEveryMs: 10 * minuteMs }) });
    const manifests = await taken(one, 12);
    assert.equal(kindsOf(manifests).filter((kind) => kind === "full").length, 2);
    const [, second] = manifests.filter(({ kind }) => kind === "full");
    assert.match(second!.strategy!.reason, /^the last full backup, \w{8}, is \d+m/);
    assert.equal(second!.strategy!.wanted, undefined);
  });

  test("is forced to a full one by --kind, and goes on from that", async () => {
    const one = world();
    await taken(one, 2);
    const forced = await one.run({ kind: "full" });
    assert.equal(forced.manifest!.kind, "full");
    const [next] = await taken(one, 1);
    assert.equal(next!.parent!.id, forced.manifest!.id);
  });

  test("goes on after the clock was set back", async () => {
    const one = world();
    const [, second] = await taken(one, 2);
    one.nowMs -= 5 * minuteMs;
    const [third, fourth] = await taken(one, 2);
    assert.deepEqual([third!.parent!.id, fourth!.parent!.id], [second!.id, third!.id]);
    assert.equal((await restored(one, { backup: fourth!.id })).text, one.lines());
  });
});

describe("a differential backup", () => {
  test("restores with every other backup of the family gone but its full one", async () => {
    const one = world({ strategy: differential() });
    const manifests = await taken(one, 5);
    assert.deepEqual(kindsOf(manifests), ["full", ...Array(4).fill("differential")]);
    for (const manifest of manifests.slice(1, -1)) drop(one.stores["a"]!, prefixOf(manifest));
    assert.equal((await restored(one)).text, one.lines());
    assert.ok((await verified(one)).every(({ status }) => status === "good"));
  });
});

describe("a chain that cannot go on", () => {
  const reasons: [what: string, change: (state: LinesState) => void, reason: RegExp][] = [
    ["the log was purged", (state) => void (state.keptFrom = 1000), /^line \d+ was purged$/],
    [
      "the history is another",
      (state) => void (state.epoch = 2),
      /^the file is of epoch 2, not 1$/,
    ],
    ["the tool cannot", (state) => void (state.kinds = ["full"]), /gives no incremental backup/],
    [
      "the dump finds so",
      (state) => void (state.isStuck = true),
      /^the log was taken away meanwhile$/,
    ],
  ];
  for (const [what, breakIt, reason] of reasons) {
    test(`begins again with a full backup that says why: ${what}`, async () => {
      const one = world();
      await taken(one, 3);
      breakIt(one.state);
      const events: RunEvent[] = [];
      one.write();
      const result = await one.run({ onEvent: (event) => isOfRun(event) && events.push(event) });
      assert.equal(result.status, "success", result.error?.message);
      assert.equal(result.manifest!.kind, "full");
      const { strategy } = result.manifest!;
      assert.deepEqual([strategy!.id, strategy!.wanted], ["incremental", "incremental"]);
      assert.match(strategy!.reason, reason);
      const planned = events.filter((event) => event.type === "planned").at(-1);
      assert.equal(planned?.type === "planned" && planned.wanted, "incremental");
      assert.equal((await restored(one)).text, one.lines());
      const folders = new Set([...one.stores["a"]!.objects.keys()].map((key) => key.split("/")[1]));
      assert.equal(folders.size, 4, "nothing is left of what did not come about");
    });
  }

  test("is an error where --kind asks for what cannot be had", async () => {
    const one = world();
    await taken(one, 1);
    one.state.epoch = 2;
    const result = await one.run({ kind: "incremental" });
    assert.equal(result.error?.code, "usage/kind-unsupported");
    assert.match(result.error!.message, /epoch 2/);
  });

  test("begins again when the settings of what is left out are others", async () => {
    const one = world();
    await taken(one, 2);
    one.job = { ...one.job, settings: { exclude: ["x"] } };
    const [next] = await taken(one, 1);
    assert.match(next!.strategy!.reason, /was taken with other settings/);
  });

  test("never commits a gap", async () => {
    const one = world();
    await taken(one, 2);
    one.state.hasGap = true;
    one.write(2);
    const result = await one.run();
    assert.equal(result.error?.code, "verification/gap");
    assert.equal((await readCatalog(one.stores["a"]!, { signal: never })).length, 2);
    const [, second] = await readCatalog(one.stores["a"]!, { signal: never });
    assert.equal(
      one.state.acknowledged.at(-1),
      second!.id,
      "the parent is told again, nothing new",
    );
  });
});

describe("a reset", () => {
  test("drops what the source keeps for the job, once, and says where there is nothing", async () => {
    const one = world({ state: linesState({ kept: ["bookmark"] }) });
    const first = await resetJob(one.job, one.o);
    assert.deepEqual([first.dropped, first.keepsAnything], [["bookmark of shop"], true]);
    assert.deepEqual((await resetJob(one.job, one.o)).dropped, []);
    const other = await resetJob(world().job, one.o);
    assert.deepEqual([other.dropped, other.keepsAnything], [[], false]);
  });
});

describe("links that somebody changed", () => {
  test("a gap between two backups is found by verify and by restore", async () => {
    const one = world();
    const manifests = await taken(one, 3);
    const last = manifests[2]!;
    const position = { ...last.position, from: { ...last.position.from!, line: 99 } };
    const artifacts = last.artifacts.map((artifact) =>
      artifact.role === "log" ? { ...artifact, from: position.from } : artifact
    );
    writeManifest(one.stores["a"]!, prefixOf(last), {
      ...readManifestAt(one.stores["a"]!, prefixOf(last)),
      position,
      artifacts: readManifestAt(one.stores["a"]!, prefixOf(last)).artifacts.map((artifact, index) =>
        index === 0 ? { ...artifact, from: artifacts[0]!.from } : artifact
      ),
    });
    await assert.rejects(restored(one, { backup: last.id }), { code: "verification/gap" });
    const problems = (await verified(one, false)).flatMap((result) => result.problems);
    assert.deepEqual(problems.map(({ code }) => code), ["verification/gap"]);
  });

  test("another chain's increment in the place of a link is found", async () => {
    const [one, other] = [world(), world()];
    const [mine, theirs] = [await taken(one, 3), await taken(other, 3)];
    const [to, from] = [prefixOf(mine[1]!), prefixOf(theirs[1]!)];
    const swapped = readManifestAt(other.stores["a"]!, from);
    drop(one.stores["a"]!, to);
    for (const [key, object] of [...other.stores["a"]!.objects]) {
      if (key.startsWith(from)) one.stores["a"]!.objects.set(key.replace(from, to), object);
    }
    writeManifest(one.stores["a"]!, to, {
      ...swapped,
      id: mine[1]!.id,
      startedAt: mine[1]!.startedAt,
      source: mine[1]!.source,
      parent: mine[1]!.parent,
    });
    await assert.rejects(restored(one, { backup: mine[2]!.id }), {
      code: "verification/broken-chain",
    });
    const bad = (await verified(one)).filter(({ status }) => status === "damaged");
    assert.deepEqual(bad.map(({ id }) => id).sort(), [mine[1]!.id, mine[2]!.id].sort());
  });

  test("a middle link that is gone or damaged makes all after it useless, and is not built on", async () => {
    const one = world();
    const manifests = await taken(one, 4);
    drop(one.stores["a"]!, prefixOf(manifests[2]!));
    await assert.rejects(restored(one, { backup: manifests[3]!.id }), {
      code: "verification/broken-chain",
    });
    const bad = (await verified(one)).filter(({ status }) => status === "damaged");
    assert.deepEqual(bad.map(({ id }) => id), [manifests[3]!.id]);
    const [next] = await taken(one, 1);
    assert.equal(next!.kind, "full", "the log goes on only from what is gone");
    assert.match(next!.strategy!.reason, /was purged/);
  });

  test("an artifact of a role that is not known is refused by name", async () => {
    const one = world({ state: linesState({ role: "pages" }) });
    const [, second] = await taken(one, 2);
    await assert.rejects(restored(one, { backup: second!.id }), {
      code: "restore/unknown-role",
      message: /role "pages"/,
    });
    const results = (await verified(one)).filter(({ id }) => id === second!.id);
    assert.deepEqual(results.map(({ status, notes }) => [status, notes]), [
      ["unchecked", ['It has an artifact of role "pages", which is not known here']],
    ]);
  });
});

describe("several destinations", () => {
  test("one that missed an increment is given it before the next builds on it", async () => {
    let isDown = false;
    const one = world({
      names: ["a", "b"],
      over: {
        b: (storage) => ({
          ...storage,
          put: (...args) =>
            isDown
              ? Promise.reject(new BackupError("storage/denied", "not now"))
              : storage.put(...args),
        }),
      },
    });
    await taken(one, 2);
    isDown = true;
    one.write();
    const missed = await one.run();
    assert.equal(missed.status, "partial");
    assert.deepEqual(missed.destinations.map(({ name, status }) => [name, status]), [
      ["a", "committed"],
      ["b", "failed"],
    ]);
    assert.equal(one.state.acknowledged.at(-1), missed.manifest!.id, "b is dropped, a has it");
    one.write();
    const again = await one.run();
    assert.equal(again.manifest!.kind, "incremental", "what is down gets nothing, a goes on");
    assert.equal(again.destinations[1]!.status, "failed");
    isDown = false;
    one.nowMs += minuteMs;
    const preview = await previewBackup(one.job, one.o);
    assert.deepEqual(preview.healed, [
      { destination: "b", backups: [missed.manifest!.id, again.manifest!.id] },
    ]);
    const events: RunEvent[] = [];
    one.write();
    const healed = await one.run({ onEvent: (event) => isOfRun(event) && events.push(event) });
    assert.equal(healed.status, "success", healed.error?.message);
    assert.equal(healed.manifest!.kind, "incremental");
    assert.ok(events.some((event) => event.type === "healing" && event.destination === "b"));
    drop(one.stores["a"]!, "shop/");
    assert.equal((await restored(one)).text, one.lines(), "b has the whole chain");
  });

  test("what no copy can be read of makes a full backup, with the reason", async () => {
    const one = world({ names: ["a", "b"] });
    const manifests = await taken(one, 3);
    const middle = prefixOf(manifests[1]!);
    drop(one.stores["b"]!, middle);
    drop(one.stores["b"]!, prefixOf(manifests[2]!));
    const log = [...one.stores["a"]!.objects.keys()].find((key) =>
      key.startsWith(`${middle}log-`)
    )!;
    flipBit(one.stores["a"]!, log, 12);
    one.write();
    const result = await one.run();
    assert.equal(result.status, "success", result.error?.message);
    assert.equal(result.manifest!.kind, "full");
    assert.match(
      result.manifest!.strategy!.reason,
      new RegExp(`^"b" lacks ${manifests[1]!.id}, which cannot be copied there: `),
    );
  });

  test("a parent that is pruned while the increment runs leaves the destination without it", async () => {
    const one = world({ names: ["a", "b"] });
    const [full, second] = await taken(one, 2);
    one.state.beforeEnd = () => {
      drop(one.stores["b"]!, prefixOf(second!));
      drop(one.stores["b"]!, prefixOf(full!));
    };
    one.write();
    const result = await one.run();
    assert.equal(result.status, "partial");
    const [a, b] = result.destinations;
    assert.equal(a!.status, "committed");
    assert.equal(b!.status === "failed" && b!.error.code, "verification/broken-chain");
    delete one.state.beforeEnd;
    const [next] = await taken(one, 1);
    assert.equal(next!.kind, "incremental", "b was given the chain again");
  });

  test("copy brings a chain over whole, parents first", async () => {
    const one = world();
    const manifests = await taken(one, 4);
    const to = memoryStorage({ location: "c" });
    const results = await copyBackups({
      sources: one.job.destinations,
      to: destinationOf("c", to),
      wanted: [manifests[3]!.id],
    }, one.o);
    assert.deepEqual(results.map(({ id, status }) => [id, status]), [
      ...manifests.map(({ id }) => [id, "copied"]),
    ]);
    const back = await restored(one, { destinations: [destinationOf("c", to)] });
    assert.equal(back.text, one.lines());
  });

  test("prune keeps what a kept backup needs and drops whole chains", async () => {
    const one = world({ strategy: incremental({ fullEveryMs: 5 * minuteMs }) });
    const manifests = await taken(one, 11);
    const [result] = await pruneBackups({
      job: "shop",
      destinations: one.job.destinations,
      retention: { policy: { last: 1 }, destinations: new Map() },
      timezone: "UTC",
      abandonedAfterMs: 86_400_000,
      isDryRun: false,
    }, one.o);
    assert.equal(result!.error, undefined);
    const left = await readCatalog(one.stores["a"]!, { signal: never });
    const newestFull = manifests.findLast(({ kind }) => kind === "full")!;
    assert.equal(left[0]!.id, newestFull.id);
    assert.equal((await restored(one)).text, one.lines());
  });
});

describe("a run that is killed", () => {
  test("between dump and commit leaves no backup, and the next goes on from the parent", async () => {
    const one = world();
    const [full] = await taken(one, 1);
    const dying = new AbortController();
    one.state.beforeEnd = () => dying.abort(new BackupError("interrupted/signal", "killed"));
    one.write();
    const killed = await one.run({ signal: dying.signal });
    assert.equal(killed.status, "failure");
    assert.deepEqual(one.state.acknowledged, [full!.id, full!.id]);
    delete one.state.beforeEnd;
    const [next] = await taken(one, 1);
    assert.equal(next!.parent!.id, full!.id);
    assert.equal((await restored(one)).text, one.lines());
  });

  test("between commit and acknowledge is made up for: the next tells the source first", async () => {
    const one = world();
    await taken(one, 1);
    let isDead = true;
    one.state.onAcknowledge = () => {
      if (isDead) throw new Error("killed before it was told");
    };
    one.write();
    const committed = await one.run();
    assert.equal(committed.status, "success", "the backup stands");
    assert.ok(committed.warnings.some((warning) => /not told that it may let go/.test(warning)));
    const id = committed.manifest!.id;
    assert.ok(!one.state.acknowledged.includes(id));
    isDead = false;
    const [next] = await taken(one, 1);
    assert.deepEqual(one.state.acknowledged.slice(-2), [id, next!.id]);
    assert.equal(next!.parent!.id, id);
  });
});

describe("restore to a moment", () => {
  test("stops exactly there, in the middle of an increment", async () => {
    const one = world();
    one.write(10);
    await one.run();
    for (let index = 0; index < 3; index++) {
      one.write(10);
      await one.run();
    }
    const lines = one.lines().split("\n").filter((line) => line !== "");
    for (const number of [12, 15, 25, 38]) {
      const at = new Date(Number(lines[number]!.split(" ")[1]));
      const { text } = await restored(one, { at });
      assert.equal(
        text,
        lines.slice(0, number + 1).map((line) => `${line}\n`).join(""),
        `${number}`,
      );
    }
  });

  test("or to a position stops right before the change that stands there", async () => {
    const one = world();
    const manifests = await taken(one, 4);
    const lines = one.lines().split("\n").filter((line) => line !== "");
    for (const line of [manifests[0]!.position.to!["line"] as number, 3, 5]) {
      const position = { type: "line", epoch: 1, line };
      const { text } = await restored(one, { position });
      assert.equal(text, lines.slice(0, line).map((one) => `${one}\n`).join(""), `${line}`);
    }
    const position = { type: "line", epoch: 2, line: 3 };
    await assert.rejects(restored(one, { position }), { code: "usage/no-such-position" });
  });

  test("outside of what was kept is refused, with the nearest moments", async () => {
    const one = world();
    const manifests = await taken(one, 3);
    const before = new Date(Date.parse(manifests[0]!.consistentAt) - 1);
    await assert.rejects(restored(one, { at: before }), { code: "usage/too-early" });
    const after = new Date(Date.parse(manifests[2]!.window!.to) + 1000);
    await assert.rejects(restored(one, { at: after }), (error) => {
      assert.ok(error instanceof BackupError);
      assert.equal(error.code, "usage/no-such-moment");
      assert.ok(error.hint!.includes(manifests[2]!.window!.to), error.hint);
      return true;
    });
  });
});

describe("RESTORE.txt of a chain's last backup", () => {
  test("restores the whole chain with the standard tools", async () => {
    const one = world();
    const manifests = await taken(one, 4);
    const root = tempDir("by-hand");
    for (const [key, { body }] of one.stores["a"]!.objects) {
      mkdirSync(dirname(join(root, key)), { recursive: true });
      writeFileSync(join(root, key), body);
    }
    const folder = join(root, prefixOf(manifests[3]!));
    const text = readFileSync(join(folder, "RESTORE.txt"), "utf8");
    assert.match(text, /THIS BACKUP IS ONLY A PART/);
    assert.doesNotMatch(text, /restore that one/);
    await promisify(execFile)("sh", ["-e", "RESTORE.txt"], { cwd: folder });
    assert.equal(readFileSync(join(folder, "restored.lines"), "utf8"), one.lines());
  });
});

function isOfRun(event: JobEvent): event is RunEvent {
  return "run" in event;
}
