import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../../src/core/errors.ts";
import { env } from "../../src/core/secret.ts";
import { clientConfig } from "../../src/storage/s3/credentials.ts";
import { s3, type S3Options, s3Options } from "../../src/storage/s3/mod.ts";
import { never, testRuntime } from "../support/runtime.ts";

/** An environment without what this machine may have. */
function runtime(more: Record<string, string> = {}) {
  const none = ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "REGION"];
  const more2 = ["DEFAULT_REGION", "ENDPOINT_URL", "ENDPOINT_URL_S3"];
  const empty = Object.fromEntries([...none, ...more2].map((name) => [`AWS_${name}`, ""]));
  return testRuntime({ env: { ...empty, ...more } });
}

describe("the URL of an S3 destination", () => {
  test("names bucket, prefix and options", () => {
    assert.deepEqual(s3.fromUrl("s3://acme-backups"), { bucket: "acme-backups" });
    assert.deepEqual(
      s3.fromUrl(
        "s3://b/some/pre%20fix/?endpoint=http://127.0.0.1:9000&region=eu-west-1&forcePathStyle=true",
      ),
      {
        bucket: "b",
        prefix: "some/pre fix",
        endpoint: "http://127.0.0.1:9000",
        region: "eu-west-1",
        forcePathStyle: true,
      },
    );
  });

  test("is refused with anything else, and above all with keys", () => {
    const bad = [
      "s3://",
      "s3://b?nonsense=1",
      "s3://b?forcePathStyle=yes",
      "s3://b?serverSideEncryption=rot13",
      "s3://b?secretAccessKey=hush",
      "s3://key:hush@b",
    ];
    for (const url of bad) {
      assert.throws(() => s3.fromUrl(url), (error) => {
        assert.ok(hasCode(error, "usage/bad-url"), `${url}: ${error}`);
        return true;
      });
    }
  });
});

test("options are strict", () => {
  assert.ok(s3Options.safeParse({ bucket: "b", partSize: 5 * 1024 ** 2 }).success);
  for (const wrong of [{ buckett: "b" }, { partSize: 1024 }, { storageClass: "DEEP_ARCHIVE" }]) {
    assert.ok(!s3Options.safeParse({ bucket: "b", ...wrong }).success, JSON.stringify(wrong));
  }
});

describe("the SDK's client", () => {
  test("gets static keys, resolved and hidden from texts", async () => {
    const it = runtime({ KEY: "AKIA1", HUSH: "hush-hush" });
    const config = await clientConfig(
      { bucket: "b", accessKeyId: env("KEY"), secretAccessKey: env("HUSH"), region: "r" },
      it,
    );
    assert.deepEqual(config.credentials, { accessKeyId: "AKIA1", secretAccessKey: "hush-hush" });
    assert.equal(it.secrets.redact("x hush-hush y"), "x [redacted] y");
  });

  test("gets the keys of the environment that was passed in", async () => {
    const it = runtime({
      AWS_ACCESS_KEY_ID: "AKIA2",
      AWS_SECRET_ACCESS_KEY: "hush2",
      AWS_SESSION_TOKEN: "token",
      AWS_REGION: "eu-north-1",
    });
    const config = await clientConfig({ bucket: "b" }, it);
    assert.deepEqual(config.credentials, {
      accessKeyId: "AKIA2",
      secretAccessKey: "hush2",
      sessionToken: "token",
    });
    assert.equal(config.region, "eu-north-1");
    assert.equal(config.forcePathStyle, false);
  });

  test("finds credentials itself when a profile, or nothing, is set", async () => {
    const keys = { AWS_ACCESS_KEY_ID: "AKIA3", AWS_SECRET_ACCESS_KEY: "hush3" };
    const config = await clientConfig({ bucket: "b", profile: "backup" }, runtime(keys));
    assert.equal(config.credentials, undefined);
    assert.equal(config.profile, "backup");
    assert.equal((await clientConfig({ bucket: "b" }, runtime())).credentials, undefined);
  });

  test("is set up for other stores by an endpoint", async () => {
    const config = await clientConfig({ bucket: "b", endpoint: "http://minio:9000" }, runtime());
    assert.equal(config.endpoint, "http://minio:9000");
    assert.equal(config.region, "us-east-1");
    assert.equal(config.forcePathStyle, true);
    const virtual = { bucket: "b", endpoint: "http://minio:9000", forcePathStyle: false };
    assert.equal((await clientConfig(virtual, runtime())).forcePathStyle, false);
  });

  test("is refused half a pair of keys", async () => {
    await assert.rejects(
      clientConfig({ bucket: "b", accessKeyId: "a" }, runtime()),
      (error) => hasCode(error, "config/s3-credentials"),
    );
  });
});

test("the location tells stores apart that have a bucket of the same name", async () => {
  const locationOf = async (options: Omit<S3Options, "bucket">) => {
    const o = { signal: never, runtime: runtime({ AWS_REGION: "eu-north-1" }) };
    const storage = await s3.open({ bucket: "b", prefix: "p", ...options }, o);
    await storage.close();
    return storage.location;
  };
  assert.equal(await locationOf({}), "s3://b/p");
  const one = await locationOf({ endpoint: "https://one.example:9000/" });
  assert.equal(one, "s3://b/p?endpoint=https://one.example:9000");
  assert.notEqual(one, await locationOf({ endpoint: "https://two.example:9000" }));
});
