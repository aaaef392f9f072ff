import { age } from "../../codecs/age.ts";
import { findCodec } from "../../codecs/mod.ts";
import { writeArtifact } from "../../catalog/artifact-writer.ts";
import { volumeFaults } from "../../catalog/folder-faults.ts";
import { inventoryBytes, inventoryFormat } from "../../catalog/inventory-file.ts";
import { manifestText, sha256Of } from "../../catalog/manifest.ts";
import { artifactName } from "../../catalog/names.ts";
import { restoreText, restoreTextName } from "../../catalog/restore-text.ts";
import { sealName, sealText } from "../../catalog/seal.ts";
import type { JobDefinition } from "../../config/model.ts";
import type { Codec, Encryption, OpenCodec } from "../../contracts/codec.ts";
import type { ArtifactHead, Emit } from "../../contracts/dump.ts";
import type { ArtifactFormat } from "../../contracts/format.ts";
import type { Inventory } from "../../contracts/inventory.ts";
import { type Artifact, type Manifest, manifestName } from "../../contracts/manifest.ts";
import { type Bytes, collect, tapped } from "../../core/bytes.ts";
import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import { abortable } from "../../core/retry.ts";
import type { Storage } from "../../contracts/storage.ts";
import { recipeOf } from "./recipes.ts";
import { cleanUpRun } from "../shared/clean-up.ts";
import type { FailedDestination, OpenDestination } from "../shared/destinations.ts";
import type { StoredParent } from "./parents.ts";
import type { History } from "../shared/history.ts";
import type { Meter } from "../shared/progress.ts";
import type { DestinationOutcome } from "../../contracts/run.ts";
import type { JobContext } from "../shared/context.ts";

/** What a backup's writer needs to know. */
export interface BackupOrder {
  readonly job: JobDefinition;
  readonly run: string;
  /** For whom it is encrypted; undefined for nobody. */
  readonly encryption: Encryption | undefined;
  /** The backup's folder, ending in "/". */
  readonly prefix: string;
  readonly open: readonly OpenDestination[];
  readonly unopened: readonly FailedDestination[];
  readonly history: History;
  readonly meter: Meter;
  /** Told when a destination has its manifest, and when one is dropped. */
  readonly onOutcome: (outcome: DestinationOutcome) => void;
  readonly startedAt: Date;
  /** What it builds on; undefined for a full one. */
  readonly parent: StoredParent | undefined;
}

/**
 * Writes one backup to all of its destinations. A destination that fails is dropped and cleaned, and
 * the others go on; only when none is left does a call throw. Nothing is a backup before `commit`.
 */
export interface BackupWriter {
  /** What was written so far, in the order of the numbers. */
  readonly artifacts: readonly Artifact[];
  /** Takes one artifact of the dump; may be called for several at the same time. */
  readonly putArtifact: Emit;
  /** Puts the inventory, which records what the manifest is going to say. */
  putInventory(inventory: Inventory, manifest: Manifest): Promise<void>;
  /**
   * Puts RESTORE.txt, the seal and then the manifest: each destination commits alone.
   *
   * @param assertWhole called right before the first manifest; what it throws ends the run
   */
  commit(manifest: Manifest, assertWhole: () => void): Promise<void>;
  /** Stops what is being written, and removes everything that was not committed. Never throws. */
  abandon(reason: unknown): Promise<void>;
  /** Waits until those that were dropped are cleaned, for no longer than the run may take. */
  cleaned(): Promise<void>;
  outcomes(): DestinationOutcome[];
}

/** Notes in the history where it is going to write, and makes the writer. */
export function openBackupWriter(order: BackupOrder, o: JobContext): BackupWriter {
  const { job, run, prefix, history, meter } = order;
  const codecs = openCodecs(job, order.encryption);
  const written: Artifact[] = [];
  let numbers = 0;
  let live = order.open.map(openOutlet);
  const stopping = new AbortController();
  const signal = AbortSignal.any([o.signal, stopping.signal]);
  const cleanings = new Set<Promise<void>>();
  const committed = new Set<string>();
  const failures = new Map(order.unopened.map(({ name, error }) => [name, error]));
  for (const { storage } of live) {
    history.begin(run, job.name, storage.location, prefix, order.startedAt);
  }

  function outcomeOf(name: string): DestinationOutcome {
    const { kind } = job.destinations.find((one) => one.name === name)!;
    const location = order.open.find((one) => one.name === name)?.storage.location ?? kind.kind;
    const error = failures.get(name);
    if (error !== undefined) return { name, location, status: "failed", error };
    return { name, location, status: committed.has(name) ? "committed" : "not-tried" };
  }

  /** What is stored there goes, while the others go on: whether it answers is not their concern. */
  function drop(outlet: Outlet, reason: unknown): void {
    const { name } = outlet;
    if (failures.has(name)) return;
    const error = toBackupError(reason);
    live = live.filter((other) => other !== outlet);
    failures.set(name, error);
    order.onOutcome(outcomeOf(name));
    cleanings.add(clean(outlet, error));
  }

  async function clean({ storage, cutOff }: Outlet, error: BackupError): Promise<void> {
    // Another artifact that still goes there would outlive the cleaning.
    await cutOff(error);
    // What is in the way may be another destination's that leads to the same place and goes on. The
    // note of the run stays, so that a later one looks whether anything is left over.
    if (!hasCode(error, "storage/exists")) await cleanUpRun(run, prefix, storage, history, o);
  }

  /** @throws the first destination's failure once none is left */
  function assertLive(): void {
    signal.throwIfAborted();
    if (live.length === 0) throw [...failures.values()][0]!;
  }

  async function put(
    head: ArtifactHead,
    format: ArtifactFormat,
    bytes: Bytes,
  ) {
    assertLive();
    const number = ++numbers;
    const own = head.isPublic === true ? codecs.filter(({ codec }) => codec !== age) : codecs;
    const suffixes = [format.suffix, ...own.map(({ codec }) => codec.suffix)];
    const targets = live;
    const result = await writeArtifact({
      bytes: tapped(bytes, (chunk) => meter.raw(chunk.byteLength)),
      walker: format.walk(),
      codecs: own.map(({ codec, open }) => ({ id: codec.id, open })),
      prefix,
      name: artifactName({ role: head.role, number, slug: head.slug, suffixes }),
      volumeBytes: job.volumeBytes,
      destinations: targets,
      onFailed: (index, error) => drop(targets[index]!, error),
      onStored: (bytes) => meter.stored(bytes),
    }, { signal });
    // One failed at this artifact, the other at another that goes at the same time.
    assertLive();
    const { role, databases } = head;
    const base = { number, role, databases: [...databases], format: format.id };
    written.push({ ...base, ...head.span?.(), ...result.stored });
    written.sort((a, b) => a.number - b.number);
    return result.contents;
  }

  /** At each destination in turn; one that fails is dropped. */
  async function atEach(act: (outlet: Outlet) => Promise<void>): Promise<void> {
    for (const outlet of live) {
      try {
        await act(outlet);
      } catch (error) {
        // Once one has its manifest there is a backup, so that the run ends as partial.
        if (committed.size === 0) o.signal.throwIfAborted();
        drop(outlet, o.signal.aborted ? o.signal.reason : error);
      }
    }
    if (live.length === 0) throw [...failures.values()][0]!;
  }

  return {
    artifacts: written,
    async putArtifact(head, bytes) {
      const format = job.database.kind.formats.find(({ id }) => id === head.format);
      if (format === undefined) {
        throw new BackupError("internal/format", `No format "${head.format}" is defined`);
      }
      return await put(head, format, bytes);
    },
    async putInventory(inventory, manifest) {
      const databases = inventory.databases.map(({ database }) => database);
      const head = { role: "inventory", databases, format: inventoryFormat.id, slug: "" };
      await put(head, inventoryFormat, inventoryBytes(inventory, manifest));
    },
    async commit(manifest, assertWhole) {
      const before = order.parent?.chain.map((link) => link.manifest) ?? [];
      const chain = [...before, manifest];
      const recipe = recipeOf(chain, job.database.kind);
      const text = new TextEncoder().encode(restoreText(chain, recipe));
      const sealed = {
        ...manifest,
        restoreText: { bytes: text.byteLength, sha256: sha256Of(text) },
      };
      const body = new TextEncoder().encode(manifestText(sealed));
      const sha256 = sha256Of(body);
      const seal = sealName({ manifest: sealed, bytes: body, sha256 });
      await atEach(async ({ storage }) => {
        await storage.put(prefix + restoreTextName, text, o);
        await storage.put(prefix + seal, new TextEncoder().encode(sealText(sha256)), o);
        await assertStored(storage, prefix, manifest, o);
      });
      o.signal.throwIfAborted();
      assertWhole();
      await atEach(async ({ name, storage }) => {
        await assertParent(storage, order.parent, o);
        await storage.put(prefix + manifestName, body, o);
        committed.add(name);
        order.onOutcome(outcomeOf(name));
        history.settle(run, storage.location);
      });
    },
    async abandon(reason) {
      const error = toBackupError(reason);
      stopping.abort(error);
      const left = live.filter(({ name }) => !committed.has(name));
      await Promise.all([...left.map((outlet) => clean(outlet, error)), ...cleanings]);
    },
    async cleaned() {
      // A later run finishes what is not done by then: it is on record.
      await abortable(Promise.all(cleanings), o.signal).catch(() => {});
    },
    outcomes: () => job.destinations.map(({ name }) => outcomeOf(name)),
  };
}

/** A destination with what is being put there. */
interface Outlet extends OpenDestination {
  /** Stops every put that is under way, and waits until they have ended. */
  readonly cutOff: (reason: BackupError) => Promise<void>;
}

function openOutlet({ name, storage }: OpenDestination): Outlet {
  const ending = new AbortController();
  const putting = new Set<Promise<unknown>>();
  return {
    name,
    storage: {
      ...storage,
      async put(key, body, o) {
        const signal = AbortSignal.any([o.signal, ending.signal]);
        const put = storage.put(key, body, { ...o, signal });
        putting.add(put);
        return await put.finally(() => putting.delete(put));
      },
    },
    async cutOff(reason) {
      ending.abort(reason);
      await Promise.allSettled(putting);
    },
  };
}

/** One LIST before the manifest: what was acknowledged must also be there, and be found. */
async function assertStored(
  storage: Storage,
  prefix: string,
  manifest: Manifest,
  o: JobContext,
): Promise<void> {
  const files = new Map<string, number>();
  for await (const { key, bytes } of storage.list(prefix, o)) {
    files.set(key.slice(prefix.length), bytes);
  }
  const [problem] = volumeFaults(manifest, { prefix, files });
  if (problem === undefined) return;
  throw new BackupError("storage/failed", `${problem.message}, though it was just stored`, {
    cause: problem,
    hint: "Do two destinations lead to the same place, or does something else delete there? " +
      "`dbbackup doctor` tries the store out.",
  });
}

/**
 * Right before the manifest: what a backup builds on is still there, and the parent is what it was. A
 * prune of another machine, which no lock keeps away, may have taken it.
 *
 * @throws BackupError `verification/broken-chain`
 */
async function assertParent(
  storage: Storage,
  parent: StoredParent | undefined,
  o: JobContext,
): Promise<void> {
  if (parent === undefined) return;
  const key = parent.ref.prefix + manifestName;
  const now = await collect(storage.get(key, o)).catch((error: unknown) => {
    if (hasCode(error, "storage/not-found")) return undefined;
    throw error;
  });
  if (now !== undefined && sha256Of(now) === parent.sha256) return;
  throw new BackupError(
    "verification/broken-chain",
    `${parent.ref.id}, which the backup builds on, ${
      now === undefined ? "is gone from" : "was changed at"
    } ${storage.location} while it was taken`,
    { hint: "The next run takes a full backup, or copies what is missing from elsewhere." },
  );
}

/** Compression first: what is encrypted does not compress. */
function openCodecs(
  { compression }: JobDefinition,
  encryption: Encryption | undefined,
): { codec: Codec; open: OpenCodec }[] {
  const result = [];
  if (compression.codec !== "none") {
    const codec = findCodec(compression.codec);
    result.push({ codec, open: codec.open({ level: compression.level }) });
  }
  if (encryption !== undefined) result.push({ codec: age, open: age.open({ encryption }) });
  return result;
}
