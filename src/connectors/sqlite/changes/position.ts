import { createHash } from "node:crypto";
import { z } from "zod";
import type { Continuation } from "../../../contracts/changes.ts";
import type { Manifest } from "../../../contracts/manifest.ts";
import type { Comparison } from "./compare.ts";
import type { Source } from "../source.ts";

/** Where a backup stands that others can build on: what its whole file is. */
export const basePositionSchema = z.looseObject({
  type: z.literal("sqlite"),
  /** Of the file's header; see readPosition in inspect.ts. */
  changeCounter: z.number(),
  /** Counts changes of the schema. */
  schemaCookie: z.number(),
  /** Digest of the schema's text, to tell a change of it from a file that was rebuilt. */
  schemaSha256: z.string(),
  pageBytes: z.number(),
  /** 0: none, 1: full, 2: incremental. */
  autoVacuum: z.number(),
  /** The length of the blocks that are compared. */
  blockBytes: z.number(),
  /** The length of the restored file. */
  bytes: z.number(),
  /** The digest of the restored file. */
  sha256: z.string(),
});
/** See {@link basePositionSchema}. */
export type BasePosition = z.infer<typeof basePositionSchema>;

/** What says whether a file is still the one that was backed up. */
export type Generation = Pick<
  BasePosition,
  "changeCounter" | "schemaCookie" | "schemaSha256" | "pageBytes" | "autoVacuum"
>;

/** Reads it inside the transaction that the copy is made in. */
export async function readGeneration({ database, header }: Source): Promise<Generation> {
  const [row] = await database.all(
    "SELECT schema_version, page_size, auto_vacuum FROM pragma_schema_version, pragma_page_size, " +
      "pragma_auto_vacuum",
  );
  const schema = await database.all(
    "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name, tbl_name, sql",
  );
  const texts = schema.map((object) => Object.values(object));
  return {
    // Read before the transaction began, so it is never newer than the data.
    changeCounter: header?.changeCounter ?? 0,
    schemaCookie: Number(row?.["schema_version"] ?? 0),
    schemaSha256: createHash("sha256").update(JSON.stringify(texts)).digest("hex"),
    pageBytes: Number(row?.["page_size"] ?? 0),
    autoVacuum: Number(row?.["auto_vacuum"] ?? 0),
  };
}

/**
 * Whether the blocks of a file can be compared with those that its backup had. What is compared is
 * the content, so another file would be no danger, only more than a full backup for nothing.
 */
export function continuationOf(
  { id, position }: Manifest,
  now: Generation,
): Continuation {
  const { data: then } = basePositionSchema.safeParse(position.to);
  if (then === undefined) return no(`${id} was taken without what an increment is compared with`);
  if (now.pageBytes !== then.pageBytes) {
    return no(`the page size changed from ${then.pageBytes} to ${now.pageBytes} bytes since ${id}`);
  }
  if (now.autoVacuum !== then.autoVacuum) {
    return no(`auto_vacuum changed from ${then.autoVacuum} to ${now.autoVacuum} since ${id}`);
  }
  for (const [name, was, is] of countersOf(then, now)) {
    if (is >= was) continue;
    return no(
      `the file was replaced since ${id}: its ${name} went back from ${was} to ${is}`,
    );
  }
  return { isPossible: true };
}

/** Where a backup stands whose file was compared. */
export function positionOf(
  generation: Generation,
  { blockBytes, fileBytes: bytes, sha256 }: Comparison,
): BasePosition {
  return { type: "sqlite", ...generation, blockBytes, bytes, sha256 };
}

/** Whether the schema was written anew without a change: VACUUM does that, and so does a restore. */
export function isRebuilt(then: BasePosition, now: Generation): boolean {
  return now.schemaCookie !== then.schemaCookie && now.schemaSha256 === then.schemaSha256;
}

function countersOf(then: Generation, now: Generation) {
  return [
    ["schema counter", then.schemaCookie, now.schemaCookie],
    ["change counter", then.changeCounter, now.changeCounter],
  ] as const;
}

function no(reason: string): Continuation {
  return { isPossible: false, reason };
}
