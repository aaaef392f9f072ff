import type { Window } from "../contracts/changes.ts";
import { type Manifest, manifestName } from "../contracts/manifest.ts";

/** Whether a manifest is what its folder's seal says; `missing` where there is no seal at all. */
export type SealStatus = "right" | "wrong" | "missing";

/** A manifest with its file, as a seal is made for it. */
export interface SealedFile {
  readonly manifest: Manifest;
  readonly bytes: Uint8Array;
  /** Of the bytes. */
  readonly sha256: string;
}

/** What the seal of a backup's manifest tells by its name, for lists. Only the manifest proves it. */
export interface SealedFacts {
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly consistentAt: Date;
  /** Raw bytes of all artifacts but the inventory. */
  readonly rawBytes: number;
  /** The length of `manifest.json`. */
  readonly manifestBytes: number;
  /** How many names `omitted` has. */
  readonly omissions: number;
  /** The moments that it can be restored to, where a log was kept. */
  readonly window?: Window;
  /** True where another kind was to be taken and could not. */
  readonly isInstead?: boolean;
}

/** What a seal's name says. */
export interface SealName {
  /** The digest of `manifest.json`. */
  readonly sha256: string;
  /** Undefined where a program that knows other facts has left one out. */
  readonly facts: SealedFacts | undefined;
}

/**
 * The name of the small object that seals a manifest. It carries the digest of `manifest.json`, so
 * that a LIST tells it, and no later edit goes unseen; and what a list of backups shows of each, so
 * that thousands are listed without reading one.
 */
export function sealName({ manifest, bytes, sha256 }: SealedFile): string {
  const facts = {
    b: Date.parse(manifest.startedAt),
    e: Date.parse(manifest.finishedAt),
    c: Date.parse(manifest.consistentAt),
    r: rawBytesOf(manifest),
    m: bytes.byteLength,
    o: manifest.omitted.length,
    ...manifest.window === undefined
      ? {}
      : { f: Date.parse(manifest.window.from), t: Date.parse(manifest.window.to) },
    ...manifest.strategy?.wanted === undefined ? {} : { w: 1 },
  };
  const parts = Object.entries(facts).map(([letter, value]) => `_${letter}${value}`);
  return `${stem}${sha256}${parts.join("")}${ending}`;
}

/** Reads a seal's name; undefined for any other file's. */
export function parseSealName(name: string): SealName | undefined {
  const match = sealPattern.exec(name);
  if (match === null) return undefined;
  const values = new Map(
    match[2]!.split("_").slice(1).map((part) => [part[0]!, Number(part.slice(1))]),
  );
  return { sha256: match[1]!, facts: factsOf(values) };
}

function factsOf(values: ReadonlyMap<string, number>): SealedFacts | undefined {
  const [b, e, c, r, m, o] = ["b", "e", "c", "r", "m", "o"].map((letter) => values.get(letter));
  const isWhole = b !== undefined && e !== undefined && c !== undefined && r !== undefined &&
    m !== undefined && o !== undefined && [b, e, c].every((ms) => ms <= lastMs);
  if (!isWhole) return undefined;
  const [f, t, w] = ["f", "t", "w"].map((letter) => values.get(letter));
  const hasWindow = f !== undefined && t !== undefined && [f, t].every((ms) => ms <= lastMs);
  return {
    ...hasWindow ? { window: { from: new Date(f), to: new Date(t) } } : {},
    ...w === 1 ? { isInstead: true } : {},
    startedAt: new Date(b),
    finishedAt: new Date(e),
    consistentAt: new Date(c),
    rawBytes: r,
    manifestBytes: m,
    omissions: o,
  };
}

/** What `sha256sum -c` takes. */
export function sealText(sha256: string): string {
  return `${sha256}  ${manifestName}\n`;
}

/** Compares a manifest's digest with the seals in its folder. */
export function sealStatus(files: ReadonlyMap<string, unknown>, sha256: string): SealStatus {
  const seals = sealsIn(files.keys());
  if (seals.some((seal) => seal.sha256 === sha256)) return "right";
  return seals.length === 0 ? "missing" : "wrong";
}

/** The seal of a folder; undefined where there is none, or several. */
export function sealOf(names: Iterable<string>): SealName | undefined {
  const seals = sealsIn(names);
  return seals.length === 1 ? seals[0] : undefined;
}

/** Raw bytes of a backup: what came from the database, without our own inventory. */
export function rawBytesOf({ artifacts }: Manifest): number {
  return artifacts.filter(({ role }) => role !== "inventory")
    .reduce((sum, { rawBytes }) => sum + rawBytes, 0);
}

function sealsIn(names: Iterable<string>): SealName[] {
  const seals: SealName[] = [];
  for (const name of names) {
    const seal = name.startsWith(stem) ? parseSealName(name) : undefined;
    if (seal !== undefined) seals.push(seal);
  }
  return seals;
}

// What a Date can hold.
const lastMs = 8.64e15;
const stem = "manifest-";
const ending = ".sha256";
// Sixteen digits hold every whole number that is exact.
const sealPattern = /^manifest-([0-9a-f]{64})((?:_[a-z]\d{1,16})*)\.sha256$/;
