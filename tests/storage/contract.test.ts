import { local } from "../../src/storage/local/mod.ts";
import { withFaults } from "../support/faultyStorage.ts";
import { storageContract } from "../contracts/storage.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { removeDir, tempDir } from "../support/workspace.ts";

storageContract("local", setup);
storageContract("local behind a decorator without faults", async () => {
  const { storage, teardown } = await setup();
  return { storage: withFaults(storage, {}), teardown };
});

async function setup() {
  const folder = tempDir("local");
  const storage = await local.open({ path: folder }, { runtime: testRuntime(), signal: never });
  return { storage, teardown: async () => removeDir(folder) };
}
