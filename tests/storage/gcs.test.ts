import { openGcs } from "../../src/storage/gcs/mod.ts";
import { storageContract, type StorageSetup } from "../contracts/storage.ts";
import { gcs as gcsServer } from "../support/gcs.ts";
import { needs } from "../support/needs.ts";
import { testRuntime } from "../support/runtime.ts";

needs("fakegcs").describe("Google Cloud Storage", () => {
  storageContract("gcs", () => setup({}));
  storageContract("gcs in parts", () => setup({ partBytes: 256 * 1024 }));
  storageContract("gcs with versions", () => setup({ isVersioned: true }));
});

async function setup(
  o: { partBytes?: number; isVersioned?: boolean },
): Promise<StorageSetup> {
  const server = await gcsServer();
  const bucket = await server.createBucket(o);
  const storage = await openGcs(
    { bucket, prefix: "some/where", apiEndpoint: server.endpoint() },
    { runtime: testRuntime(), partBytes: o.partBytes },
  );
  return { storage, teardown: () => Promise.resolve() };
}
