import type { Bytes } from "../../src/core/bytes.ts";
import type { Cloud, CloudPlace, Operation, Refusal } from "../support/clouds.ts";
import type { Fault, Rule } from "../support/faultProxy.ts";

/** The body of a put: two and a half parts, or a few bytes. */
export function contentOf(cloud: Cloud, isSmall = false): Uint8Array {
  // The last part is small: a store that answers before it has read the request, as one may that
  // has the whole object already, resets the connection over a larger one, and its answer is lost.
  const bytes = new Uint8Array(isSmall ? 1_000 : cloud.partBytes * 2 + 10_000);
  for (let index = 0; index < bytes.byteLength; index++) bytes[index] = (index * 31) >>> 5;
  return bytes;
}

/** The same as a stream. */
export async function* inChunks(bytes: Uint8Array): Bytes {
  for (let at = 0; at < bytes.byteLength; at += 50_000) yield bytes.subarray(at, at + 50_000);
}

/** The rules by which an operation's nth request meets a fault, and those that follow it. */
export function on(
  operation: Operation,
  fault: Fault,
  nth = 1,
  times = 1,
): (cloud: Cloud) => Rule[] {
  return ({ requests }) => {
    const request = requests[operation];
    return [{ ...request, nth: (request.nth ?? 1) + nth - 1, times, fault }];
  };
}

/** As {@link on}, for a store that says no. */
export function refusing(
  operation: Operation,
  refusal: Refusal,
  nth = 1,
  times = 1,
): (cloud: Cloud) => Rule[] {
  return (cloud) =>
    on(operation, { kind: "answer", answer: cloud.refuse(refusal) }, nth, times)(cloud);
}

/** Makes a place for a test, and closes it. */
export async function withPlace(
  cloud: Cloud,
  use: (place: CloudPlace) => Promise<void>,
): Promise<void> {
  const place = await cloud.setup();
  try {
    await use(place);
  } finally {
    await place.proxy.close();
  }
}
