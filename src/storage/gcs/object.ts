import { z } from "zod";
import type { ObjectInfo } from "../../contracts/storage.ts";

/**
 * What we read of an object's resource.
 * Source: https://cloud.google.com/storage/docs/json_api/v1/objects
 */
export const gcsObject = z.object({
  name: z.string(),
  generation: z.string(),
  size: z.coerce.number(),
  timeCreated: z.coerce.date(),
  /** Absent for objects that a customer's own key encrypts. */
  crc32c: z.string().optional(),
  /** When the bucket's retention policy ends for it. */
  retentionExpirationTime: z.coerce.date().optional(),
  /** The object's own retention. */
  retention: z.object({ retainUntilTime: z.coerce.date().optional() }).optional(),
  temporaryHold: z.boolean().optional(),
  eventBasedHold: z.boolean().optional(),
});
/** See {@link gcsObject}. */
export type GcsObject = z.infer<typeof gcsObject>;

/** One page of a listing. */
export const gcsPage = z.object({
  items: z.array(gcsObject).default([]),
  nextPageToken: z.string().optional(),
});

/** The fields of {@link gcsObject}, for requests that ask for a part of the resource. */
export const objectFields = Object.keys(gcsObject.shape).join(",");

/** When no date ends it: a hold lasts until somebody lifts it. */
export const heldUntil = new Date("9999-12-31T00:00:00Z");

/** Until when the store refuses to delete an object; undefined when it does not. */
export function retainedUntil(object: GcsObject): Date | undefined {
  if (object.temporaryHold === true || object.eventBasedHold === true) return heldUntil;
  const dates = [object.retentionExpirationTime, object.retention?.retainUntilTime]
    .filter((date) => date !== undefined)
    .sort((a, b) => b.getTime() - a.getTime());
  return dates[0];
}

/** An object as all storages describe it. */
export function toInfo(object: GcsObject, key: string): ObjectInfo {
  const until = retainedUntil(object);
  return {
    key,
    bytes: object.size,
    // `updated` would be when its metadata was last changed.
    modifiedAt: object.timeCreated,
    version: object.generation,
    ...(until === undefined ? {} : { retainedUntil: until }),
  };
}
