import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test as plainTest } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";
import { crc32cOf } from "../../src/storage/gcs/checksum.ts";
import { gcs, type GcsOptions, openGcs } from "../../src/storage/gcs/mod.ts";
import { storageContract, type StorageSetup } from "../contracts/storage.ts";
import { quickRetry } from "../support/clouds.ts";
import { type FaultProxy, faultProxy } from "../support/faultProxy.ts";
import { gcs as gcsServer } from "../support/gcs.ts";
import { needs } from "../support/needs.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";

const o = { signal: never };
const text = (content: string) => new TextEncoder().encode(content);

needs("fakegcs").describe("Google Cloud Storage", () => {
  storageContract("gcs", () => setup({}));
  storageContract("gcs in parts", () => setup({ partBytes: 256 * 1024 }));
  storageContract("gcs with versions", () => setup({ isVersioned: true }));
});

async function setup(
  { partBytes, isVersioned }: { partBytes?: number; isVersioned?: boolean },
): Promise<StorageSetup> {
  const server = await gcsServer();
  const bucket = await server.createBucket({ isVersioned });
  const storage = await openGcs(
    { bucket, prefix: "some/where", apiEndpoint: server.endpoint() },
    { runtime: testRuntime(), partBytes },
  );
  return { storage, teardown: () => Promise.resolve() };
}

needs("fakegcs").describe("a Google Cloud Storage bucket", () => {
  const test = (
    title: string,
    use: (o: {
      proxy: FaultProxy;
      open: (more?: Partial<GcsOptions>) => Promise<Storage>;
      names: () => Promise<string[]>;
    }) => Promise<void>,
  ) =>
    needs("fakegcs")(title, async () => {
      const server = await gcsServer();
      const bucket = await server.createBucket({ isVersioned: true });
      const proxy = await faultProxy(server.port);
      try {
        await use({
          proxy,
          open: (more) =>
            openGcs({ bucket, apiEndpoint: proxy.url, ...more }, {
              runtime: testRuntime(),
              retry: quickRetry,
            }),
          names: () => server.names(bucket, true),
        });
      } finally {
        await proxy.close();
      }
    });

  test("that keeps versions keeps none of what was deleted", async ({ open, names }) => {
    const storage = await open();
    await storage.put("a", text("1"), o);
    await storage.put("ab", text("2"), o);
    const { version } = (await storage.stat("a", o))!;
    assert.match(version!, /^\d+$/);
    await storage.delete("a", o);
    assert.deepEqual(await names(), ["ab"]);
    await storage.delete("ab", { ...o, version: "1" });
    assert.deepEqual(await names(), ["ab"], "another version is not this one");
  });

  test("is told to retain what is put, and keeps it", async ({ open, names }) => {
    const storage = await open({ retention: { mode: "Unlocked", days: 2 } });
    const inTwoDays = Date.now() + 2 * 86_400_000;
    const info = await storage.put("kept", text("x"), o);
    assert.ok(Math.abs(info.retainedUntil!.getTime() - inTwoDays) < 60_000);
    await assert.rejects(storage.delete("kept", o), { code: "storage/retained" });
    assert.deepEqual(await names(), ["kept"]);
    const until = new Date(Date.now() + 86_400_000);
    await storage.put("shorter", text("x"), { ...o, retainUntil: until });
    const shorter = (await storage.stat("shorter", o))!.retainedUntil!;
    assert.ok(Math.abs(shorter.getTime() - until.getTime()) < 1_000);
  });

  test("says what it keeps when only the store knows", async ({ open, proxy }) => {
    const storage = await open();
    await storage.put("held", text("x"), o);
    const message = "Object 'held' is subject to bucket's retention policy or object retention " +
      "and cannot be deleted or overwritten until 2027-01-01";
    const body = JSON.stringify({
      error: { code: 403, message, errors: [{ reason: "retentionPolicyNotMet" }] },
    });
    proxy.fail({ method: "DELETE", fault: { kind: "answer", answer: { status: 403, body } } });
    await assert.rejects(storage.delete("held", o), { code: "storage/retained" });
  });

  test("counts a held object as retained without an end", async ({ open, proxy }) => {
    const storage = await open();
    await storage.put("held", text("x"), o);
    proxy.fail({
      method: "GET",
      times: Infinity,
      fault: {
        kind: "alter-answer",
        alter: (answer) => ({
          ...answer,
          body: answer.body.replaceAll('"generation"', '"temporaryHold":true,"generation"'),
        }),
      },
    });
    assert.ok((await storage.stat("held", o))!.retainedUntil! > new Date("9000-01-01"));
    await assert.rejects(storage.delete("held", o), { code: "storage/retained" });
  });

  test("that acknowledges other bytes than it was sent has nothing left", async (place) => {
    const storage = await place.open();
    place.proxy.fail({
      method: "POST",
      fault: {
        kind: "alter-answer",
        alter: (answer) => ({
          ...answer,
          body: answer.body.replace(/"crc32c":"[^"]+"/, '"crc32c":"AAAAAA=="'),
        }),
      },
    });
    await assert.rejects(storage.put("lie", text("truth"), o), { code: "storage/checksum" });
    assert.deepEqual(await place.names(), []);
  });

  test("gets the token that its credentials stand for", async ({ open, proxy }) => {
    let logins = 0;
    const login = createServer((_request, response) => {
      logins++;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({
        access_token: "t0k3n",
        issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
        token_type: "Bearer",
        expires_in: 3600,
      }));
    });
    await new Promise<void>((resolve) => login.listen(0, "127.0.0.1", resolve));
    const address = login.address();
    const port = typeof address === "object" ? address!.port : 0;
    try {
      const folder = tempDir("gcs-key");
      writeFileSync(join(folder, "subject"), "s");
      writeFileSync(
        join(folder, "key.json"),
        JSON.stringify({
          type: "external_account",
          audience:
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
          subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
          token_url: `http://127.0.0.1:${port}/token`,
          credential_source: { file: join(folder, "subject") },
        }),
      );
      const storage = await open({ keyFilename: join(folder, "key.json") });
      await storage.put("a", text("1"), o);
      assert.equal(proxy.requests.at(-1)!.headers.get("authorization"), "Bearer t0k3n");
      await storage.delete("a", o);
      assert.equal(logins, 1);
    } finally {
      login.close();
    }
  });

  test("is not opened with credentials that are none", async ({ open }) => {
    await assert.rejects(open({ credentials: "{ nonsense" }), { code: "config/bad-credentials" });
    await assert.rejects(open({ keyFilename: "/no/such/key.json" }), {
      code: "config/secret-file",
    });
  });
});

plainTest("the CRC-32C is that of RFC 3720", () => {
  const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");
  assert.equal(crc32cOf(new Uint8Array(32)), base64("8a9136aa"));
  assert.equal(crc32cOf(new Uint8Array(32).fill(0xff)), base64("62a8ab43"));
  assert.equal(crc32cOf(text("123456789")), base64("e3069283"));
});

plainTest("a gs: URL names bucket, prefix and options", () => {
  assert.deepEqual(gcs.fromUrl("gs://My_bucket.example/a/b%20c/?apiEndpoint=http://h:1"), {
    bucket: "My_bucket.example",
    prefix: "a/b c",
    apiEndpoint: "http://h:1",
  });
  assert.deepEqual(gcs.fromUrl("gs://bucket"), { bucket: "bucket" });
  for (const url of ["gs://", "gs:///x", "gs://b?color=red", "gs://b?apiEndpoint=", "gs://u:p@b"]) {
    assert.throws(() => gcs.fromUrl(url), { code: "usage/bad-url" }, url);
  }
});
