import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { local } from "../../src/storage/local/mod.ts";
import { withFaults } from "../../src/storage/faults.ts";
import { storageContract } from "../contracts/storage.ts";
import { never, testRuntime } from "../support/runtime.ts";

storageContract("local", setup);
storageContract("local behind a decorator without faults", async () => {
  const { storage, teardown } = await setup();
  return { storage: withFaults(storage, {}), teardown };
});

async function setup() {
  const folder = await mkdtemp(join(tmpdir(), "dbbackup-local-"));
  const storage = await local.open({ path: folder }, { runtime: testRuntime(), signal: never });
  return { storage, teardown: () => rm(folder, { recursive: true, force: true }) };
}
