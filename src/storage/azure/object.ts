import type { ObjectInfo } from "../../contracts/storage.ts";

/** What we read of a blob's properties, as a listing and a single request both give them. */
export interface BlobFacts {
  readonly contentLength?: number;
  readonly createdOn?: Date;
  readonly lastModified?: Date;
  readonly legalHold?: boolean;
  readonly immutabilityPolicyExpiresOn?: Date;
}

/** When no date ends it: a legal hold lasts until somebody lifts it. */
const heldUntil = new Date("9999-12-31T00:00:00Z");

/** Until when the store refuses to delete a blob; undefined when nothing is set on the blob. */
export function retainedUntil(facts: BlobFacts): Date | undefined {
  return facts.legalHold === true ? heldUntil : facts.immutabilityPolicyExpiresOn;
}

/** A blob as all storages describe it. */
export function toInfo(facts: BlobFacts, key: string, version: string | undefined): ObjectInfo {
  const until = retainedUntil(facts);
  return {
    key,
    bytes: facts.contentLength ?? 0,
    // Content never changes, but a change of metadata counts as a modification.
    modifiedAt: facts.createdOn ?? facts.lastModified ?? new Date(0),
    ...(version === undefined ? {} : { version }),
    ...(until === undefined ? {} : { retainedUntil: until }),
  };
}
