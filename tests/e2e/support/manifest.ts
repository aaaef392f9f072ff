import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256Of } from "../../../src/catalog/manifest.ts";
import { parseSealName, sealText } from "../../../src/catalog/seal.ts";
import { sealNameFor } from "../../support/seals.ts";

/** Changes a backup's manifest, with a seal that fits: what another version would have written. */
export function editManifest(
  folder: string,
  edit: (manifest: Record<string, unknown>) => unknown,
): void {
  const path = join(folder, "manifest.json");
  const manifest = JSON.parse(readFileSync(path, "utf8"));
  edit(manifest);
  const text = JSON.stringify(manifest);
  for (const name of readdirSync(folder)) {
    if (parseSealName(name) !== undefined) rmSync(join(folder, name));
  }
  writeFileSync(join(folder, sealNameFor(text)), sealText(sha256Of(text)));
  writeFileSync(path, text);
}
