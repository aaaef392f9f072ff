import { rawBytesOf } from "../../catalog/seal.ts";
import { age } from "../../codecs/age.ts";
import type { CodecParameters } from "../../contracts/codec.ts";
import type { Manifest } from "../../contracts/manifest.ts";

/** What a list shows of a manifest: of ten thousand backups, whole manifests take 100 MB. */
export interface ManifestSummary
  extends
    Pick<Manifest, "finishedAt" | "consistentAt" | "window" | "source" | "omitted" | "warnings"> {
  /** Raw bytes of all artifacts but the inventory. */
  readonly rawBytes: number;
  /** For whom it is encrypted; undefined for nobody. */
  readonly encryption: CodecParameters | undefined;
  /** The databases inside, by name. */
  readonly databases: readonly string[];
  /** True where another kind was to be taken and could not. */
  readonly isInstead: boolean;
}

/** Summarizes manifests. What is the same in many is kept once. */
export function createSummarizer(): (manifest: Manifest) => ManifestSummary {
  const shared = {
    source: sharing<Manifest["source"]>(),
    omitted: sharing<Manifest["omitted"]>(),
    warnings: sharing<Manifest["warnings"]>(),
    encryption: sharing<CodecParameters | undefined>(),
    databases: sharing<readonly string[]>(),
  };
  return (manifest) => ({
    finishedAt: manifest.finishedAt,
    consistentAt: manifest.consistentAt,
    window: manifest.window,
    source: shared.source(manifest.source),
    omitted: shared.omitted(manifest.omitted),
    warnings: shared.warnings(manifest.warnings),
    rawBytes: rawBytesOf(manifest),
    encryption: shared.encryption(encryptionOf(manifest)),
    databases: shared.databases(databasesOf(manifest)),
    isInstead: manifest.strategy?.wanted !== undefined,
  });
}

/** The databases inside a backup, by name. */
export function databasesOf({ artifacts }: Manifest): string[] {
  const data = artifacts.filter(({ role }) => role !== "inventory");
  return [...new Set(data.flatMap(({ databases }) => databases))];
}

/** For whom a backup is encrypted, as its manifest says; undefined for nobody. */
export function encryptionOf({ artifacts }: Manifest): CodecParameters | undefined {
  const codec = artifacts.flatMap(({ codecs }) => codecs).find(({ id }) => id === age.id);
  return codec === undefined ? undefined : codec.parameters ?? {};
}

// Servers, sets of databases and recipients are few; warnings may all be different.
const mostShared = 1000;

/** Gives the first of all values that are written alike. */
function sharing<T>(): (value: T) => T {
  const known = new Map<string, T>();
  return (value) => {
    const text = JSON.stringify(value) ?? "";
    const same = known.get(text);
    if (same !== undefined) return same;
    if (known.size < mostShared) known.set(text, value);
    return value;
  };
}
