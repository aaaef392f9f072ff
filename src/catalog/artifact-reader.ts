import type { Decoder } from "../contracts/codec.ts";
import type { Walker } from "../contracts/format.ts";
import type { Artifact, Volume } from "../contracts/manifest.ts";
import type { Storage } from "../contracts/storage.ts";
import { type Abortable, type Bytes, tapped } from "../core/bytes.ts";
import { BackupError, type ErrorCode, hasCode } from "../core/errors.ts";
import { createCollector } from "../core/memory.ts";
import { createChecksum, createDigest, type Digest, digested } from "../core/pipeline/digest.ts";
import { walked } from "../core/pipeline/walk.ts";

/** How an artifact is read. */
export interface ReadOptions {
  /** Follows the raw bytes where the format is known. */
  readonly walker?: Walker;
  /** Opens a codec, with the keys where it needs one; see src/codecs/mod.ts. */
  readonly decoder: Decoder;
  /**
   * How the raw bytes are checked: by their sha256 (the default), or by their CRC-32 alone where the
   * manifest has one. That is enough for a restore: what is stored is proven by its own sha256, so only
   * accidents of encoding and decoding are left to be found.
   */
  readonly check?: "sha256" | "checksum";
}

/**
 * The raw bytes of a stored artifact. Everything is checked as they pass: each volume's size and
 * sha256, the decoding, the raw size and digest, the structure. A consumer that sees the end without
 * an error has read what was dumped; before the end, it must not trust what it has read.
 *
 * @throws BackupError `verification/missing-object`, `verification/size`, `verification/digest`,
 * `verification/truncated`, `verification/corrupt`, `verification/structure`; `config/identity` and
 * `config/passphrase` when it is encrypted and no key fits; those of the storage
 */
export async function* openArtifact(
  storage: Storage,
  prefix: string,
  artifact: Artifact,
  options: ReadOptions,
  o: Abortable,
): Bytes {
  const key = prefix + artifact.volumes[0]!.name;
  const decoded = artifact.codecs.toReversed().reduce<Bytes>(
    (bytes, codec) => options.decoder(codec).decode(bytes),
    openStored(storage, prefix, artifact, o),
  );
  const raw = rawDigests(artifact, options.check);
  const measured = checked(
    digested(tapped(decoded, createCollector()), ...raw.map(({ digest }) => digest)),
    () => raw.forEach((one) => assertRaw(key, artifact.rawBytes, one)),
  );
  const bytes = options.walker === undefined ? measured : walked(measured, options.walker);
  try {
    yield* bytes;
  } catch (error) {
    throw named(error, key);
  }
}

/**
 * The bytes of an artifact as they are stored, with each volume's size and sha256 checked: all that
 * can be checked of an encrypted one without its key.
 *
 * @throws BackupError `verification/missing-object`, `verification/size`, `verification/digest`;
 * those of the storage
 */
export async function* openStored(
  storage: Storage,
  prefix: string,
  artifact: Artifact,
  o: Abortable,
): Bytes {
  const whole = createDigest();
  const [first, ...more] = artifact.volumes;
  for (const volume of artifact.volumes) {
    const key = prefix + volume.name;
    // With a single volume, its digest is the whole's.
    const digest = more.length === 0 ? whole : createDigest();
    const digests = more.length === 0 ? [whole] : [whole, digest];
    yield* checkedVolume(storage, key, volume, digests, o);
  }
  if (whole.bytes === artifact.storedBytes && whole.hex() === artifact.storedSha256) return;
  throw damaged(
    "verification/digest",
    `The volumes of "${prefix}${first!.name}" are not together what the manifest says`,
  );
}

/**
 * The bytes of one stored volume, checked as they pass: the end throws when they are not what the
 * manifest says.
 *
 * @throws as {@link openStored}
 */
export function openVolume(
  storage: Storage,
  prefix: string,
  volume: Volume,
  o: Abortable,
): Bytes {
  return checkedVolume(storage, prefix + volume.name, volume, [createDigest()], o);
}

/** @param digests of the volume, last, and of whatever it is a part of. */
function checkedVolume(
  storage: Storage,
  key: string,
  volume: Volume,
  digests: readonly Digest[],
  o: Abortable,
): Bytes {
  return checked(
    digested(present(storage, key, o), ...digests),
    () => assertVolume(key, volume, digests.at(-1)!),
  );
}

/** Passes a stream on and lets `check` speak before the consumer sees its end. */
async function* checked(bytes: Bytes, check: () => void): Bytes {
  yield* bytes;
  check();
}

async function* present(storage: Storage, key: string, o: Abortable): Bytes {
  try {
    yield* storage.get(key, o);
  } catch (error) {
    if (!hasCode(error, "storage/not-found")) throw error;
    throw damaged("verification/missing-object", `Object "${key}" is missing`, error);
  }
}

function assertVolume(key: string, volume: Volume, digest: Digest): void {
  if (digest.bytes !== volume.bytes) {
    throw damaged(
      "verification/size",
      `Object "${key}" has ${digest.bytes} bytes instead of ${volume.bytes}`,
    );
  }
  if (digest.hex() !== volume.sha256) {
    throw damaged("verification/digest", `Object "${key}" is not what was stored: sha256 differs`);
  }
}

/** A digest of the raw bytes, and what it has to come to. */
interface RawDigest {
  readonly digest: Digest;
  readonly expected: string;
}

function rawDigests(artifact: Artifact, check: ReadOptions["check"]): readonly RawDigest[] {
  const { codecs, rawSha256, rawCrc32, storedSha256 } = artifact;
  const sha256 = () => ({ digest: createDigest(), expected: rawSha256 });
  if (rawCrc32 === undefined) return [sha256()];
  const checksum = { digest: createChecksum(), expected: rawCrc32 };
  // What is stored as it is has its sha256 taken already.
  const isAsStored = codecs.length === 0 && rawSha256 === storedSha256;
  return check === "checksum" || isAsStored ? [checksum] : [sha256(), checksum];
}

function assertRaw(key: string, bytes: number, { digest, expected }: RawDigest): void {
  if (digest.bytes !== bytes) {
    throw damaged(
      "verification/size",
      `"${key}" decodes to ${digest.bytes} bytes instead of ${bytes}`,
    );
  }
  if (digest.hex() !== expected) {
    throw damaged("verification/digest", `"${key}" does not decode to what was dumped`);
  }
}

/** Names the object in errors of codecs and walkers, which do not know it. */
function named(error: unknown, key: string): unknown {
  // That a key is missing or wrong is so for every object.
  if (!hasCode(error, "verification/") || error.message.includes(key)) return error;
  if (error.message.startsWith('Object "')) return error;
  const { code, message, hint, details } = error;
  return new BackupError(code, `"${key}": ${message}`, { cause: error, hint, details });
}

function damaged(code: ErrorCode, message: string, cause?: unknown): BackupError {
  return new BackupError(code, message, {
    cause,
    hint: "Restore from another destination or an older backup; `dbbackup list` shows them.",
  });
}
