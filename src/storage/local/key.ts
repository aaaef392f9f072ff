import { Buffer } from "node:buffer";
import { BackupError } from "../../core/errors.ts";

/** How names of unfinished files start; no key has such a part. */
export const temporaryPrefix = ".tmp-";

/**
 * The parts of a key, every one fit to be a file name.
 *
 * @throws BackupError `storage/bad-key` for one that could leave the root or is hidden by us
 */
export function partsOf(key: string): string[] {
  const parts = key.split("/");
  const bad = parts.find((part) => !isFitPart(part));
  if (bad === undefined) return parts;
  throw new BackupError("storage/bad-key", `Cannot use the key ${JSON.stringify(key)}`, {
    hint: 'Write parts of letters, digits and punctuation, joined by "/".',
  });
}

/** As {@link partsOf}, for a prefix: "" or one that ends in "/". */
export function prefixParts(prefix: string): string[] {
  if (prefix === "") return [];
  if (prefix.endsWith("/")) return partsOf(prefix.slice(0, -1));
  throw new BackupError("storage/bad-key", `The prefix "${prefix}" does not end in "/"`);
}

/** True for a name that can be a part of a key. */
export function isFitPart(part: string): boolean {
  return part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= 255 &&
    // deno-lint-ignore no-control-regex
    !/[\\\x00-\x1f\x7f\ufffd]/.test(part) && !part.startsWith(temporaryPrefix);
}
