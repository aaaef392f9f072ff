import { manifestName } from "../contracts/manifest.ts";

/** Whether a manifest is what its folder's seal says; `missing` where there is no seal at all. */
export type SealStatus = "right" | "wrong" | "missing";

/**
 * The name of the small object that seals a manifest: it carries the digest of `manifest.json`, so
 * that a LIST tells it, and no later edit goes unseen.
 */
export function sealName(sha256: string): string {
  return `${stem}${sha256}${ending}`;
}

/** The digest in a seal's name; undefined for any other file. */
export function parseSealName(name: string): string | undefined {
  const match = sealPattern.exec(name);
  return match === null ? undefined : match[1];
}

/** What `sha256sum -c` takes. */
export function sealText(sha256: string): string {
  return `${sha256}  ${manifestName}\n`;
}

/** Compares a manifest's digest with the seals in its folder. */
export function sealStatus(files: ReadonlyMap<string, unknown>, sha256: string): SealStatus {
  if (files.has(sealName(sha256))) return "right";
  return sealedDigest(files) === undefined ? "missing" : "wrong";
}

/** The digest that a folder's seal names; undefined where there is none. */
export function sealedDigest(files: ReadonlyMap<string, unknown>): string | undefined {
  for (const name of files.keys()) {
    const sha256 = parseSealName(name);
    if (sha256 !== undefined) return sha256;
  }
  return undefined;
}

const stem = "manifest-";
const ending = ".sha256";
const sealPattern = /^manifest-([0-9a-f]{64})\.sha256$/;
