import type { OpenCodec } from "../contracts/codec.ts";
import type { ArtifactContents, Walker } from "../contracts/format.ts";
import type { Artifact, Volume } from "../contracts/manifest.ts";
import type { ObjectInfo, Storage } from "../contracts/storage.ts";
import { type Abortable, type Bytes, tapped } from "../core/bytes.ts";
import { BackupError } from "../core/errors.ts";
import { createCollector } from "../core/memory.ts";
import { createChecksum, createDigest, type Digest, digested } from "../core/pipeline/digest.ts";
import { interruptible } from "../core/pipeline/interruptible.ts";
import { tee } from "../core/pipeline/tee.ts";
import { volumes } from "../core/pipeline/volumes.ts";
import { walked } from "../core/pipeline/walk.ts";
import { volumeName } from "./names.ts";

/** One artifact to be stored. */
export interface ArtifactOrder {
  /** The raw bytes. */
  readonly bytes: Bytes;
  /** Follows them; its end must be seen before anything is acknowledged. */
  readonly walker: Walker;
  /** Applied in this order. */
  readonly codecs: readonly { readonly id: string; readonly open: OpenCodec }[];
  /** The backup's folder, ending in "/". */
  readonly prefix: string;
  /** File name of the first volume. */
  readonly name: string;
  readonly volumeBytes: number;
  /** Where it goes; at least one. */
  readonly destinations: readonly { readonly storage: Storage }[];
  /** Called once for each destination that fails, with its index, before anything is thrown for it. */
  readonly onFailed?: (index: number, error: unknown) => void;
  /** Called with the length of each stored piece, once however many destinations there are. */
  readonly onStored?: (bytes: number) => void;
}

/** How an artifact fared at one destination. */
export type StoreOutcome =
  | { readonly status: "stored" }
  | { readonly status: "failed"; readonly error: unknown };

/** What {@link writeArtifact} found out. */
export interface WrittenArtifact {
  /** The part of the manifest's record that the pipeline knows. */
  readonly stored: Pick<
    Artifact,
    | "codecs"
    | "rawBytes"
    | "rawSha256"
    | "rawCrc32"
    | "storedBytes"
    | "storedSha256"
    | "volumes"
  >;
  /** What the walker counted. */
  readonly contents: ArtifactContents;
  /** One for each destination, in order; at least one is `stored`. */
  readonly outcomes: readonly StoreOutcome[];
}

/**
 * Sends one artifact through the pipeline to every destination: measured, walked, encoded, cut into
 * volumes. A destination that fails gets no further volume, and the others go on. The caller drops
 * it for the rest of the run and removes what it has got.
 *
 * @throws the source's or the walker's error, the signal's reason; when every destination failed, the
 * first one's
 */
export async function writeArtifact(order: ArtifactOrder, o: Abortable): Promise<WrittenArtifact> {
  const { codecs, destinations, prefix, name } = order;
  const outcomes: StoreOutcome[] = destinations.map(() => ({ status: "stored" }));
  const whole = createDigest();
  // What is stored as it is needs no second digest.
  const raw = codecs.length === 0 ? whole : createDigest();
  const checksum = createChecksum();
  let contents: ArtifactContents = { databases: [] };
  const source = tapped(interruptible(order.bytes, o.signal), createCollector());
  const measured = digested(source, checksum, ...raw === whole ? [] : [raw]);
  const walking = walked(measured, order.walker, (seen) => contents = seen);
  const encoded = codecs.reduce<Bytes>((bytes, { open }) => open.encode(bytes), walking);

  const stored: Volume[] = [];
  for await (const volume of volumes(encoded, order.volumeBytes)) {
    const file = volumeName(name, stored.length + 1);
    const isFirst = stored.length === 0;
    // The first volume's bytes are the whole's so far, so they are hashed once.
    const digest = isFirst ? whole : createDigest();
    const measured = digested(volume, ...isFirst ? [whole] : [whole, digest]);
    const bytes = tapped(measured, (chunk) => order.onStored?.(chunk.byteLength));
    const fail = (index: number, error: unknown) => {
      outcomes[index] = { status: "failed", error };
      order.onFailed?.(index, error);
    };
    await putVolume(bytes, prefix + file, { destinations, outcomes, fail, digest }, o);
    stored.push({ name: file, bytes: digest.bytes, sha256: digest.hex() });
  }

  return {
    stored: {
      codecs: codecs.map(({ id, open }) => ({ id, parameters: { ...open.parameters } })),
      rawBytes: raw.bytes,
      rawSha256: raw.hex(),
      rawCrc32: checksum.hex(),
      storedBytes: whole.bytes,
      storedSha256: whole.hex(),
      volumes: stored,
    },
    contents,
    outcomes,
  };
}

/** Puts one volume to every destination that has not failed, and notes which fail. */
async function putVolume(
  bytes: Bytes,
  key: string,
  { destinations, outcomes, fail, digest }: {
    destinations: ArtifactOrder["destinations"];
    outcomes: readonly StoreOutcome[];
    fail: (index: number, error: unknown) => void;
    digest: Digest;
  },
  o: Abortable,
): Promise<void> {
  const live = destinations.flatMap(({ storage }, index) =>
    outcomes[index]!.status === "stored" ? [{ storage, index }] : []
  );
  const end: StreamEnd = { isSeen: false };
  const failures: { index: number; error: unknown }[] = [];
  const branches = live.map(({ storage, index }) => async (copy: Bytes, signal: AbortSignal) => {
    try {
      return await storage.put(key, copy, { signal });
    } catch (error) {
      failures.push({ index, error });
      throw error;
    }
  });
  const results = await tee(ending(bytes, end), branches, o).catch((reason) => {
    // What the source threw went through all of them, and none is to blame.
    if (end.failure === undefined && !o.signal.aborted) {
      for (const { index, error } of failures) fail(index, error);
    }
    throw reason;
  });
  for (const [branch, result] of results.entries()) {
    const { storage, index } = live[branch]!;
    const error = result.status === "failed"
      ? result.error
      : shortOf(storage, result.value, digest);
    if (error !== undefined) fail(index, error);
  }
  // The digest is of what was read: where nobody read to the end, none of them has it whole.
  if (!end.isSeen) throw unread(live[0]!.storage, key);
  const errors = outcomes.flatMap((one) => one.status === "failed" ? [one.error] : []);
  if (errors.length === outcomes.length) throw errors[0];
}

interface StreamEnd {
  isSeen: boolean;
  failure?: { readonly error: unknown };
}

/** Notes how a stream ended: read to its end, or by an error of its own. */
async function* ending(bytes: Bytes, end: StreamEnd): Bytes {
  try {
    yield* bytes;
    end.isSeen = true;
  } catch (error) {
    end.failure = { error };
    throw error;
  }
}

function unread({ location }: Storage, key: string): BackupError {
  return new BackupError("storage/failed", `"${location}" did not read "${key}" to its end`, {
    hint: "Look into the store: it acknowledged an object that is not whole.",
  });
}

/** A store that stops reading early and calls it stored would leave a cut object. */
function shortOf(storage: Storage, info: ObjectInfo, digest: Digest): BackupError | undefined {
  if (info.bytes === digest.bytes) return undefined;
  return new BackupError(
    "storage/failed",
    `"${storage.location}" stored ${info.bytes} of ${digest.bytes} bytes of "${info.key}"`,
    { hint: "Look into the store: it acknowledged an object that is not whole." },
  );
}
