import { parseManifest, sha256Of } from "../../src/catalog/manifest.ts";
import { sealName } from "../../src/catalog/seal.ts";

/** The name of the seal that fits a manifest's text; of one that is no manifest, without facts. */
export function sealNameFor(text: string | Uint8Array): string {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const sha256 = sha256Of(bytes);
  try {
    return sealName({ manifest: parseManifest(bytes, "manifest.json"), bytes, sha256 });
  } catch {
    return `manifest-${sha256}.sha256`;
  }
}
