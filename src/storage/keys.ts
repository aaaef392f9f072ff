import { Buffer } from "node:buffer";
import { BackupError } from "../core/errors.ts";

/** How keys become names of objects in a bucket or container, and back. */
export interface Keys {
  /** The bucket's URL with the prefix. */
  location(bucketUrl: string): string;
  /**
   * The name of an object.
   *
   * @throws BackupError `storage/bad-key`
   */
  toName(key: string): string;
  /** As {@link toName}, for a prefix: "" or one that ends in "/". */
  toPrefix(prefix: string): string;
  /** The key of a listed name; undefined for what dbbackup cannot have written. */
  toKey(name: string): string | undefined;
}

// The limit of all three clouds, in bytes.
const longestName = 1_024;

/**
 * Makes the {@link Keys} of one destination.
 *
 * @param prefix put before every key, with one "/" between
 * @throws BackupError `config/bad-prefix`
 */
export function createKeys(prefix = ""): Keys {
  const trimmed = prefix.replace(/^\/+|\/+$/g, "");
  if (trimmed !== "" && !isFit(trimmed)) {
    throw new BackupError("config/bad-prefix", `Cannot use the prefix ${JSON.stringify(prefix)}`, {
      hint: 'Write parts of letters, digits and punctuation, joined by "/".',
    });
  }
  const before = trimmed === "" ? "" : `${trimmed}/`;
  return {
    location: (bucketUrl) => trimmed === "" ? bucketUrl : `${bucketUrl}/${trimmed}`,
    toName(key) {
      const name = before + key;
      if (isFit(key) && Buffer.byteLength(name) <= longestName) return name;
      throw new BackupError("storage/bad-key", `Cannot use the key ${JSON.stringify(key)}`, {
        hint: 'Write parts of letters, digits and punctuation, joined by "/".',
      });
    },
    toPrefix(prefix) {
      if (prefix === "" || (prefix.endsWith("/") && isFit(prefix.slice(0, -1)))) {
        return before + prefix;
      }
      throw new BackupError("storage/bad-key", `The prefix "${prefix}" does not end in "/"`);
    },
    toKey(name) {
      const key = name.startsWith(before) ? name.slice(before.length) : "";
      return isFit(key) ? key : undefined;
    },
  };
}

/** Every part could be the name of a file, so that any store can be copied to any other. */
function isFit(key: string): boolean {
  return key.split("/").every((part) =>
    part !== "" && part !== "." && part !== ".." &&
    // deno-lint-ignore no-control-regex
    !/[\\\x00-\x1f\x7f\ufffd]/.test(part)
  );
}
