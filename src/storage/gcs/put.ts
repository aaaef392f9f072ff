import { Buffer } from "node:buffer";
import type { ObjectInfo } from "../../contracts/storage.ts";
import type { Abortable, Bytes } from "../../core/bytes.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { PartBuffers } from "../part-buffers.ts";
import { ForeignAnswer, foreignAnswer } from "../foreign.ts";
import { type Part, type PartUpload, sendParts } from "../parts.ts";
import type { GcsAnswer, GcsClient } from "./client.ts";
import { crc32cOf, createCrc32c } from "./checksum.ts";
import { type Doing, readJson } from "./errors.ts";
import { findObject } from "./stat.ts";
import { type GcsObject, gcsObject, objectFields, toInfo } from "./object.ts";

/** How objects are written. */
export interface PutOptions extends Abortable {
  /** Their size is a multiple of 256 KiB, as the store asks of all parts but the last. */
  readonly buffers: PartBuffers;
  readonly retainUntil: Date | undefined;
  /** Whether somebody with the right to may shorten the retention. */
  readonly retentionMode: "Locked" | "Unlocked";
  /** Unlike anything in a body. */
  readonly boundary: string;
}

/**
 * Stores an object: what fits into one part by one request, anything longer by a resumable upload,
 * part by part. Its CRC-32C is sent along, so that the store refuses what it received differently,
 * and is compared with the one in the store's answer.
 *
 * @throws BackupError `storage/exists`
 */
export async function putObject(
  client: GcsClient,
  name: string,
  key: string,
  body: Bytes | Uint8Array,
  o: PutOptions,
): Promise<ObjectInfo> {
  const stored = await sendParts(body, {
    whole: (bytes, signal) => putWhole(client, name, bytes, { ...o, signal }),
    begin: (signal) => beginUpload(client, name, { ...o, signal }),
  }, o);
  return toInfo(stored, key);
}

/** What an object is to be, as far as it is known before it is stored. */
interface Wanted {
  readonly bytes: number;
  readonly crc32c: string;
}

async function putWhole(
  client: GcsClient,
  name: string,
  bytes: Uint8Array,
  o: PutOptions,
): Promise<GcsObject> {
  const wanted = { bytes: bytes.byteLength, crc32c: crc32cOf(bytes) };
  const metadata = { ...metadataOf(name, o), crc32c: wanted.crc32c };
  const body = Buffer.concat([
    Buffer.from(
      `--${o.boundary}\r\nContent-Type: application/json; charset=utf-8\r\n\r\n` +
        `${JSON.stringify(metadata)}\r\n` +
        `--${o.boundary}\r\nContent-Type: ${contentType}\r\n\r\n`,
    ),
    bytes,
    Buffer.from(`\r\n--${o.boundary}--\r\n`),
  ]);
  return await client.calls.call(async (signal, nth) => {
    const sending = client.once({
      method: "POST",
      url: uploadUrl(client, name, "multipart"),
      headers: { "content-type": `multipart/related; boundary=${o.boundary}` },
      body,
      doing: doing(client, name),
    }, { signal });
    const answer = await answered(client, name, wanted, sending, { signal, nth });
    return "text" in answer ? await acknowledged(client, name, wanted, answer, signal) : answer;
  }, { signal: o.signal, bytes: bytes.byteLength });
}

async function beginUpload(
  client: GcsClient,
  name: string,
  o: PutOptions,
): Promise<PartUpload<GcsObject>> {
  const { headers } = await client.call({
    method: "POST",
    url: uploadUrl(client, name, "resumable"),
    headers: { "content-type": "application/json; charset=utf-8" },
    body: JSON.stringify(metadataOf(name, o)),
    doing: doing(client, name),
  }, o);
  const session = headers.get("location");
  if (session === null) {
    const { verb, what } = doing(client, name);
    throw foreignAnswer(`${verb} "${what}"`, new ForeignAnswer("it begins no upload"));
  }
  const checksum = createCrc32c();
  let stored: GcsObject | undefined;
  let before: Promise<void> = Promise.resolve();

  return {
    send(part, signal) {
      checksum.update(part.bytes);
      const crc32c = checksum.base64();
      // The store takes the parts of an upload one after the other.
      const sending = before.then(async () => {
        stored = await sendPart(client, { name, session, part, crc32c }, signal);
      });
      before = sending;
      // Its error is told by this call, not by those that wait behind it.
      before.catch(() => {});
      return sending;
    },
    complete() {
      if (stored !== undefined) return Promise.resolve(stored);
      throw new BackupError("storage/failed", `The store did not end "${client.show(name)}"`);
    },
    async abort() {
      // By itself the store forgets it after a week. It answers 499 to a client that gives up.
      const signal = AbortSignal.timeout(abortTimeoutMs);
      const request = { method: "DELETE", url: session, doing: doing(client, name) } as const;
      await client.call({ ...request, accept: [404, 410, 499] }, { signal });
    },
  };
}

// Cleaning goes on after an interrupt, so it has a limit of its own.
const abortTimeoutMs = 10_000;

/**
 * Sends one part. If it is sent again, the store passes over the bytes that it has; if it took only
 * some, it says how many, and the rest follows.
 *
 * @returns the object, after its last part
 * Source: https://cloud.google.com/storage/docs/performing-resumable-uploads
 */
async function sendPart(
  client: GcsClient,
  { name, session, part, crc32c }: {
    readonly name: string;
    readonly session: string;
    readonly part: Part;
    readonly crc32c: string;
  },
  signal: AbortSignal,
): Promise<GcsObject | undefined> {
  const end = part.offset + part.bytes.byteLength;
  const wanted = { bytes: end, crc32c };
  let from = part.offset;
  return await client.calls.call(async (signal, nth) => {
    while (true) {
      const range = from === end ? "*" : `${from}-${end - 1}`;
      const sending = client.once({
        method: "PUT",
        url: session,
        headers: {
          "content-range": `bytes ${range}/${part.isLast ? end : "*"}`,
          ...(part.isLast ? { "x-goog-hash": `crc32c=${crc32c}` } : {}),
        },
        body: part.bytes.subarray(from - part.offset),
        doing: doing(client, name),
        accept: [308],
      }, { signal });
      const answer = await answered(client, name, wanted, sending, { signal, nth });
      if (!("text" in answer)) return answer;
      if (answer.status !== 308) return await acknowledged(client, name, wanted, answer, signal);
      const taken = takenBytes(answer);
      if (taken === end && !part.isLast) return undefined;
      if (taken <= from || taken > end) throw tookWrongly(client.show(name), taken, from);
      from = taken;
    }
  }, { signal, bytes: part.bytes.byteLength });
}

/**
 * The answer to the request that makes the object; after a first try whose answer was lost it may
 * be there already, and then what is there decides.
 */
async function answered(
  client: GcsClient,
  name: string,
  wanted: Wanted,
  sending: Promise<GcsAnswer>,
  { signal, nth }: { signal: AbortSignal; nth: number },
): Promise<GcsAnswer | GcsObject> {
  try {
    return await sending;
  } catch (error) {
    if (nth === 1) throw error;
    if (!hasCode(error, "storage/exists") && !hasCode(error, "storage/not-found")) throw error;
    const stored = await findObject(client, name, { signal });
    if (stored === undefined || !isSame(stored, wanted)) throw error;
    return stored;
  }
}

/** The object as the store says it has it, which must be as it was sent. */
async function acknowledged(
  client: GcsClient,
  name: string,
  wanted: Wanted,
  answer: GcsAnswer,
  signal: AbortSignal,
): Promise<GcsObject> {
  const stored = readJson(gcsObject, answer.text, doing(client, name));
  if (isSame(stored, wanted)) return stored;
  // This very generation is ours, whatever is in it.
  await client.call({
    method: "DELETE",
    url: `${client.objectPath(name)}?${new URLSearchParams({ generation: stored.generation })}`,
    doing: { verb: "delete", what: client.show(name) },
    accept: [404],
  }, { signal });
  throw new BackupError(
    "storage/checksum",
    `The store acknowledged other bytes than were sent of "${client.show(name)}": ` +
      `${stored.size} with CRC-32C ${stored.crc32c} for ${wanted.bytes} with ${wanted.crc32c}`,
    { hint: "Look into the store, or what lies between: it damages what it is given." },
  );
}

function isSame(stored: GcsObject, wanted: Wanted): boolean {
  return stored.size === wanted.bytes && stored.crc32c === wanted.crc32c;
}

/** How many bytes of the whole upload the store has, by its `Range: bytes=0-LAST`. */
function takenBytes({ headers }: GcsAnswer): number {
  const last = /^bytes=0-(\d+)$/.exec(headers.get("range") ?? "")?.[1];
  return last === undefined ? 0 : Number(last) + 1;
}

function tookWrongly(what: string, taken: number, from: number): BackupError {
  return new BackupError(
    "storage/unavailable",
    `The store says that it has ${taken} bytes of "${what}" after it was sent some from ${from} on`,
  );
}

function uploadUrl(client: GcsClient, name: string, uploadType: string): string {
  // The generation of what is not there is 0.
  const query = new URLSearchParams({
    uploadType,
    name,
    ifGenerationMatch: "0",
    fields: objectFields,
  });
  return `/upload${client.bucketPath}/o?${query}`;
}

const contentType = "application/octet-stream";

function metadataOf(name: string, { retainUntil, retentionMode }: PutOptions): object {
  if (retainUntil === undefined) return { name, contentType };
  const retention = { mode: retentionMode, retainUntilTime: retainUntil.toISOString() };
  return { name, contentType, retention };
}

function doing(client: GcsClient, name: string): Doing {
  return { verb: "write", what: client.show(name) };
}
