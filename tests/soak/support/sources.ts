import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { output } from "../../support/run.ts";

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/**
 * The sources of a Debian package, unpacked: downloaded once, and kept where the servers are.
 *
 * @param suite `bookworm`, `sid`
 * @param version Debian's, as `apt-cache policy` shows it
 */
export async function sourcesOf(suite: string, name: string, version: string): Promise<string> {
  const command = ["source", suite, name, version];
  const text = await output(join(root, "scripts", "servers"), command, { timeoutMs: 900_000 });
  return text.trim().split("\n").at(-1)!;
}
