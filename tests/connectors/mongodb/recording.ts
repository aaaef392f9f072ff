import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";

const folder = path.join(import.meta.dirname!, "..", "..", "fixtures", "mongodb");

/** A time of the oplog. */
export interface Time {
  readonly t: number;
  readonly i: number;
}

/** A collection or view at a moment; see the recording's README. */
export interface RecordedCollection {
  readonly type: "collection" | "view";
  readonly count: number;
  readonly docs: string;
  readonly options: string;
  readonly indexes: string;
}

/** The state of the recorded server at one moment. */
export interface Moment {
  readonly name: string;
  readonly ts: Time;
  readonly wall: string;
  readonly databases: Readonly<Record<string, Readonly<Record<string, RecordedCollection>>>>;
}

/** What was recorded beside the oplog. */
export interface Moments {
  readonly largeTransaction: readonly Time[];
  readonly chainedTransaction: readonly Time[];
  readonly definitions: Readonly<Record<string, string | readonly string[]>>;
  readonly moments: readonly Moment[];
}

/** A file of the recordings, unpacked. */
export function recorded(name: string): Uint8Array {
  return new Uint8Array(gunzipSync(readFileSync(path.join(folder, `${name}.gz`))));
}

/** All moments after the base. */
export function recordedMoments(): Moments {
  return JSON.parse(new TextDecoder().decode(recorded("moments.json"))) as Moments;
}

/** The numbers of the slices that follow the base, without a gap. */
export const sliceNumbers = [1, 2, 3, 4, 5] as const;

/** The entries of concatenated BSON. */
export function* entriesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength;) {
    const length = Buffer.from(bytes.buffer, bytes.byteOffset + at, 4).readInt32LE();
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** The moments around the commit of the transaction that `prepared/` is of. */
export function recordedPrepared(): { readonly moments: readonly Moment[] } {
  const text = readFileSync(path.join(folder, "prepared", "recording.json"), "utf8");
  return JSON.parse(text) as { readonly moments: readonly Moment[] };
}
