import { openAzure } from "../../src/storage/azure/mod.ts";
import { storageContract, type StorageSetup } from "../contracts/storage.ts";
import { azurite } from "../support/azurite.ts";
import { testRuntime } from "../support/runtime.ts";

storageContract("azure", () => setup({}));
storageContract("azure in blocks", () => setup({ partBytes: 256 * 1024 }));

async function setup(o: { partBytes?: number }): Promise<StorageSetup> {
  const server = await azurite();
  const { accountName, accountKey } = server;
  const container = await server.createContainer();
  const storage = await openAzure(
    { container, prefix: "some/where", accountName, accountKey, endpoint: server.endpoint() },
    { runtime: testRuntime(), ...o },
  );
  return { storage, teardown: () => Promise.resolve() };
}
