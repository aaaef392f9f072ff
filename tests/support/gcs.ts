import path from "node:path";
import { freshName } from "./freshName.ts";
import { onFreePort, startDaemon } from "./daemon.ts";
import { installed } from "./installed.ts";
import { shared } from "./shared.ts";
import { tempDir } from "./workspace.ts";

/** A store that speaks Google Cloud Storage's JSON API: fake-gcs-server. */
export interface GcsServer {
  readonly port: number;
  /** Where a client finds it, or a proxy in front of it on another port. */
  endpoint(port?: number): string;
  /** Makes an empty bucket and returns its name. */
  createBucket(options?: { readonly isVersioned?: boolean }): Promise<string>;
  /** The names of a bucket's objects, each as often as it has generations when `isWithVersions`. */
  names(bucket: string, isWithVersions?: boolean): Promise<string[]>;
}

/**
 * The shared server; made on first use, ended with the tests.
 *
 * @throws {Error} when fake-gcs-server was not found.
 */
export function gcs(): Promise<GcsServer> {
  return shared("gcs", start);
}

async function start(): Promise<GcsServer> {
  const { fakegcs: command } = installed();
  if (command === undefined) throw new Error("fake-gcs-server is missing: run scripts/servers");
  const folder = tempDir("gcs");
  const port = await onFreePort(async (port) => {
    await startDaemon({
      command,
      args: [
        ...["-scheme", "http", "-host", "127.0.0.1", "-port", String(port)],
        ...["-backend", "memory"],
      ],
      logFile: path.join(folder, "gcs.log"),
      ready: /server started/,
    });
    return port;
  });
  const endpoint = (at = port) => `http://127.0.0.1:${at}`;
  return {
    port,
    endpoint,
    async createBucket({ isVersioned = false } = {}) {
      const name = freshName().replace("_", "-");
      const response = await fetch(`${endpoint()}/storage/v1/b?project=test`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name, versioning: { enabled: isVersioned } }),
      });
      if (!response.ok) throw new Error(`cannot make bucket ${name}: ${await response.text()}`);
      return name;
    },
    async names(bucket, isWithVersions = false) {
      const url = `${endpoint()}/storage/v1/b/${bucket}/o?versions=${isWithVersions}`;
      const { items = [] } = await (await fetch(url)).json() as { items?: { name: string }[] };
      return items.map(({ name }) => name).sort();
    },
  };
}
