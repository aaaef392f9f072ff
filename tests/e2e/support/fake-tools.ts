import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "../../support/workspace.ts";

/**
 * A folder with a stand-in for a dump tool: it answers `--version` like a very new one, and does
 * what `script` says (for `sh`) when asked to dump.
 *
 * @returns the folder, to be put first on PATH.
 */
export function fakeTool(name: string, versionLine: string, script: string): string {
  const folder = tempDir(`fake-${name}`);
  const path = join(folder, name);
  writeFileSync(
    path,
    `#!/bin/sh
for word in "$@"; do
  case $word in --version | -V) echo '${versionLine}'; exit 0 ;; esac
done
${script}
`,
  );
  chmodSync(path, 0o755);
  return folder;
}
