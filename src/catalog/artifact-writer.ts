import type { OpenCodec } from "../contracts/codec.ts";
import type { ArtifactContents, Walker } from "../contracts/format.ts";
import type { Artifact, Volume } from "../contracts/manifest.ts";
import type { ObjectInfo, Storage } from "../contracts/storage.ts";
import { type Abortable, type Bytes, tapped } from "../core/bytes.ts";
import { BackupError } from "../core/errors.ts";
import { createCollector } from "../core/memory.ts";
import { createDigest, type Digest, digested } from "../core/pipeline/digest.ts";
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
    "codecs" | "rawBytes" | "rawSha256" | "storedBytes" | "storedSha256" | "volumes"
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
 * @throws the source's or the walker's error; when every destination failed, the first one's
 */
export async function writeArtifact(order: ArtifactOrder, o: Abortable): Promise<WrittenArtifact> {
  const { codecs, destinations, prefix, name } = order;
  const outcomes: StoreOutcome[] = destinations.map(() => ({ status: "stored" }));
  const raw = createDigest();
  const whole = createDigest();
  let contents: ArtifactContents = { databases: [] };
  const source = tapped(order.bytes, createCollector());
  const walking = walked(digested(source, raw), order.walker, (seen) => contents = seen);
  const encoded = codecs.reduce<Bytes>((bytes, { open }) => open.encode(bytes), walking);

  const stored: Volume[] = [];
  for await (const volume of volumes(encoded, order.volumeBytes)) {
    const file = volumeName(name, stored.length + 1);
    const isFirst = stored.length === 0;
    // The first volume's bytes are the whole's so far, so they are hashed once.
    const digest = isFirst ? whole : createDigest();
    const measured = digested(volume, ...isFirst ? [whole] : [whole, digest]);
    const bytes = tapped(measured, (chunk) => order.onStored?.(chunk.byteLength));
    await putVolume(bytes, prefix + file, { destinations, outcomes, digest }, o);
    stored.push({ name: file, bytes: digest.bytes, sha256: digest.hex() });
  }

  return {
    stored: {
      codecs: codecs.map(({ id, open }) => ({ id, parameters: { ...open.parameters } })),
      rawBytes: raw.bytes,
      rawSha256: raw.hex(),
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
  { destinations, outcomes, digest }: {
    destinations: ArtifactOrder["destinations"];
    outcomes: StoreOutcome[];
    digest: Digest;
  },
  o: Abortable,
): Promise<void> {
  const live = destinations.flatMap(({ storage }, index) =>
    outcomes[index]!.status === "stored" ? [{ storage, index }] : []
  );
  const results = await tee(
    bytes,
    live.map(({ storage }) => async (copy: Bytes, signal: AbortSignal) => {
      const info = await storage.put(key, copy, { signal });
      assertWhole(storage, info, digest);
    }),
    o,
  );
  for (const [branch, result] of results.entries()) {
    if (result.status === "failed") outcomes[live[branch]!.index] = result;
  }
}

/** A store that stops reading early and calls it stored would leave a cut object. */
function assertWhole(storage: Storage, info: ObjectInfo, digest: Digest): void {
  if (info.bytes === digest.bytes) return;
  throw new BackupError(
    "storage/failed",
    `"${storage.location}" stored ${info.bytes} of ${digest.bytes} bytes of "${info.key}"`,
    { hint: "Look into the store: it acknowledged an object that is not whole." },
  );
}
