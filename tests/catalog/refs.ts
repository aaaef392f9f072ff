import { backupPrefix, compactTime } from "../../src/catalog/names.ts";
import type { BackupRef, Mark } from "../../src/contracts/strategy.ts";

/** A backup as a LIST tells it; what is not said is of a good full backup of job `shop`. */
export function refOf(
  over: Partial<Omit<BackupRef, "createdAt" | "files">> & {
    readonly id: string;
    readonly at: string | Date;
    readonly files?: readonly string[];
  },
): BackupRef {
  const { at, files = ["dump-001-shop.pgdump.gz", "inventory.json.gz", "RESTORE.txt"], ...rest } =
    over;
  const createdAt = new Date(at);
  const kind = over.kind ?? (over.parentId === undefined ? "full" : "incremental");
  const { job = "shop", sourceTag = "s41f0c2", parentId, id } = over;
  const prefix = backupPrefix({ job, startedAt: createdAt, kind, id, sourceTag, parentId });
  return {
    job,
    sourceTag,
    kind,
    parentId,
    prefix,
    storedBytes: 3,
    marks: [],
    ...rest,
    createdAt,
    files: new Map([...files, "manifest.json"].map((name) => [name, 1])),
  };
}

/** A mark of a moment. */
export function markAt(type: "verified" | "damaged", at: string): Mark {
  return { type, at: new Date(at) };
}

/** An id of eight characters for a number. */
export function idOf(number: number): string {
  return number.toString(16).padStart(8, "0");
}

export { compactTime };
