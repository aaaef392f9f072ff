import { age } from "../codecs/age.ts";
import { findCodec } from "../codecs/mod.ts";
import { writeArtifact } from "../catalog/artifact-writer.ts";
import { inventoryBytes, inventoryFormat } from "../catalog/inventory-file.ts";
import { manifestText } from "../catalog/manifest.ts";
import { artifactName } from "../catalog/names.ts";
import { restoreText, restoreTextName } from "../catalog/restore-text.ts";
import type { JobDefinition } from "../config/model.ts";
import type { Codec, Encryption, OpenCodec } from "../contracts/codec.ts";
import type { ArtifactHead, Emit } from "../contracts/connector.ts";
import type { ArtifactFormat } from "../contracts/format.ts";
import type { Inventory } from "../contracts/inventory.ts";
import { type Artifact, type Manifest, manifestName } from "../contracts/manifest.ts";
import { type Bytes, tapped } from "../core/bytes.ts";
import { BackupError, hasCode, toBackupError } from "../core/errors.ts";
import { withStallLimit } from "../storage/stall-limit.ts";
import type { Storage } from "../contracts/storage.ts";
import { checkSizes } from "./check-sizes.ts";
import { recipesOf } from "./recipes.ts";
import { cleanUpRun } from "./clean-up.ts";
import type { FailedDestination, OpenDestination } from "./destinations.ts";
import type { History } from "./history.ts";
import type { Meter } from "./progress.ts";
import type { DestinationOutcome, JobContext } from "./types.ts";

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
  readonly startedAt: Date;
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
  putInventory(inventory: Inventory): Promise<void>;
  /** Puts RESTORE.txt and then the manifest: each destination commits alone. */
  commit(manifest: Manifest): Promise<void>;
  /** Removes everything that was not committed. Never throws. */
  abandon(): Promise<void>;
  outcomes(): DestinationOutcome[];
}

/** Notes in the history where it is going to write, and makes the writer. */
export function openBackupWriter(order: BackupOrder, o: JobContext): BackupWriter {
  const { job, run, prefix, history, meter } = order;
  const codecs = openCodecs(job, order.encryption);
  const written: Artifact[] = [];
  let numbers = 0;
  let live = order.open.map(({ name, storage }) => ({
    name,
    storage: withStallLimit(storage, job.destinationStallTimeoutMs),
  }));
  const committed = new Set<string>();
  const failures = new Map(order.unopened.map(({ name, error }) => [name, error]));
  for (const { storage } of live) {
    history.begin(run, job.name, storage.location, prefix, order.startedAt);
  }

  async function drop({ name, storage }: OpenDestination, reason: unknown): Promise<void> {
    const error = toBackupError(reason);
    live = live.filter((destination) => destination.name !== name);
    failures.set(name, error);
    o.runtime.log.error("Destination {destination} is dropped from this run: {code}: {message}", {
      destination: name,
      code: error.code,
      message: error.message,
    });
    // What is in the way may be another destination's that leads to the same place and goes on. The
    // note of the run stays, so that a later one looks whether anything is left over.
    if (!hasCode(error, "storage/exists")) await cleanUpRun(run, prefix, storage, history, o);
  }

  async function put(
    head: Omit<ArtifactHead, "role"> & { role: string },
    format: ArtifactFormat,
    bytes: Bytes,
  ) {
    const number = ++numbers;
    const suffixes = [format.suffix, ...codecs.map(({ codec }) => codec.suffix)];
    const targets = live;
    const result = await writeArtifact({
      bytes: tapped(bytes, (chunk) => meter.raw(chunk.byteLength)),
      walker: format.walk(),
      codecs: codecs.map(({ codec, open }) => ({ id: codec.id, open })),
      prefix,
      name: artifactName({ role: head.role, number, slug: head.slug, suffixes }),
      volumeBytes: job.volumeBytes,
      destinations: targets,
      onStored: (bytes) => meter.stored(bytes),
    }, o);
    for (const [index, outcome] of result.outcomes.entries()) {
      if (outcome.status === "failed") await drop(targets[index]!, outcome.error);
    }
    const { role, databases } = head;
    written.push({ number, role, databases: [...databases], format: format.id, ...result.stored });
    written.sort((a, b) => a.number - b.number);
    return result.contents;
  }

  /** At each destination in turn; one that fails is dropped. */
  async function atEach(act: (destination: OpenDestination) => Promise<void>): Promise<void> {
    for (const destination of live) {
      try {
        await act(destination);
      } catch (error) {
        // Once one has its manifest there is a backup, so that the run ends as partial.
        if (committed.size === 0) o.signal.throwIfAborted();
        await drop(destination, o.signal.aborted ? o.signal.reason : error);
      }
    }
    if (live.length === 0) throw [...failures.values()].at(-1)!;
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
    async putInventory(inventory) {
      const databases = inventory.databases.map(({ database }) => database);
      const head = { role: "inventory", databases, format: inventoryFormat.id, slug: "" };
      await put(head, inventoryFormat, inventoryBytes(inventory));
    },
    async commit(manifest) {
      const recipes = recipesOf(manifest, job.database.kind);
      const text = new TextEncoder().encode(restoreText(manifest, recipes));
      await atEach(async ({ storage }) => {
        await storage.put(prefix + restoreTextName, text, o);
        await assertWhole(storage, prefix, manifest, o);
      });
      o.signal.throwIfAborted();
      const body = new TextEncoder().encode(manifestText(manifest));
      await atEach(async ({ name, storage }) => {
        await storage.put(prefix + manifestName, body, o);
        committed.add(name);
        history.settle(run, storage.location);
      });
    },
    async abandon() {
      const left = live.filter(({ name }) => !committed.has(name));
      await Promise.all(left.map(({ storage }) => cleanUpRun(run, prefix, storage, history, o)));
    },
    outcomes() {
      return job.destinations.map(({ name, kind }) => {
        const location = order.open.find((one) => one.name === name)?.storage.location ?? kind.kind;
        const error = failures.get(name);
        return error === undefined
          ? { name, location, status: "committed" }
          : { name, location, status: "failed", error };
      });
    },
  };
}

/** One LIST before the manifest: what was acknowledged must also be there, and be found. */
async function assertWhole(
  storage: Storage,
  prefix: string,
  manifest: Manifest,
  o: JobContext,
): Promise<void> {
  const files = new Map<string, number>();
  for await (const { key, bytes } of storage.list(prefix, o)) {
    files.set(key.slice(prefix.length), bytes);
  }
  const [problem] = checkSizes(manifest, { prefix, files });
  if (problem === undefined) return;
  throw new BackupError("storage/failed", `${problem.message}, though it was just stored`, {
    cause: problem,
    hint: "Do two destinations lead to the same place, or does something else delete there? " +
      "`dbbackup doctor` tries the store out.",
  });
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
