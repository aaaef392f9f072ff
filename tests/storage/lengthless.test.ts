import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";
import { collect } from "../../src/core/bytes.ts";
import { hasCode } from "../../src/core/errors.ts";
import { openAzure } from "../../src/storage/azure/mod.ts";
import { openGcs } from "../../src/storage/gcs/mod.ts";
import { openS3 } from "../../src/storage/s3/mod.ts";
import { quickRetry } from "../support/clouds.ts";
import { never, testRuntime } from "../support/runtime.ts";

const o = { runtime: testRuntime() };
const retry = quickRetry;

const stores: Readonly<Record<string, (endpoint: string) => Promise<Storage>>> = {
  gcs: (apiEndpoint) => openGcs({ bucket: "b", apiEndpoint }, { ...o, retry }),
  azure: (endpoint) =>
    openAzure({ container: "c", accountName: "a", accountKey: "a2V5", endpoint }, { ...o, retry }),
  s3: (endpoint) =>
    openS3(
      { bucket: "b", endpoint, accessKeyId: "key", secretAccessKey: "hush" },
      { ...o, policy: retry },
    ),
};

for (const [name, open] of Object.entries(stores)) {
  test(`an answer of ${name} that does not tell its length is no empty object`, async () => {
    // As a proxy between may send it on: in chunks.
    const server = createServer((_, response) => {
      response.writeHead(206, { "content-range": "bytes 0-4/5", etag: '"1"' });
      response.write("hel");
      response.end("lo");
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as AddressInfo;
    const storage = await open(`http://127.0.0.1:${port}`);
    try {
      await assert.rejects(
        collect(storage.get("key", { signal: never })),
        (error) => hasCode(error, "storage/"),
      );
    } finally {
      await storage.close();
      server.closeAllConnections();
      server.close();
    }
  });
}
