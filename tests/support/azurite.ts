import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";
import { freshName } from "./freshName.ts";
import { onFreePort, startDaemon } from "./daemon.ts";
import { shared } from "./shared.ts";
import { tempDir } from "./workspace.ts";

/** A store that speaks Azure's blob protocol. Every account key of Azurite is the same well-known one. */
export interface AzuriteServer {
  readonly port: number;
  readonly accountName: string;
  readonly accountKey: string;
  /** Where a client finds it, or a proxy in front of it on another port. */
  endpoint(port?: number): string;
  /** Makes an empty container and returns its name. */
  createContainer(): Promise<string>;
  /** The names of a container's blobs; with `isUncommitted` also those that were never finished. */
  names(container: string, isUncommitted?: boolean): Promise<string[]>;
}

// Published by Microsoft for development; it protects nothing.
const accountName = "devstoreaccount1";
const accountKey =
  "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/** The shared Azurite; made on first use, ended with the tests. */
export function azurite(): Promise<AzuriteServer> {
  return shared("azurite", start);
}

async function start(): Promise<AzuriteServer> {
  const folder = tempDir("azurite");
  const main = createRequire(import.meta.url).resolve("azurite/dist/src/blob/main.js");
  const port = await onFreePort(async (port) => {
    await startDaemon({
      command: process.execPath,
      args: [
        main,
        ...["--blobPort", String(port)],
        ...["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"],
      ],
      logFile: path.join(folder, "azurite.log"),
      ready: /successfully listens/,
    });
    return port;
  });
  const endpoint = (at = port) => `http://127.0.0.1:${at}/${accountName}`;
  const { BlobServiceClient, StorageSharedKeyCredential } = await import("@azure/storage-blob");
  const service = new BlobServiceClient(
    endpoint(),
    new StorageSharedKeyCredential(accountName, accountKey),
  );
  return {
    port,
    accountName,
    accountKey,
    endpoint,
    async createContainer() {
      const name = freshName().replace("_", "-");
      await service.createContainer(name);
      return name;
    },
    async names(container, isUncommitted = false) {
      const names: string[] = [];
      const blobs = service.getContainerClient(container)
        .listBlobsFlat({ includeUncommitedBlobs: isUncommitted });
      for await (const { name } of blobs) names.push(name);
      return names.sort();
    },
  };
}
