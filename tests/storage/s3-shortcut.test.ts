import assert from "node:assert/strict";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { fetchHandler, send, type SignedRequest } from "../../src/storage/s3/http.ts";
import { createShortcut } from "../../src/storage/s3/shortcut.ts";
import { s3Server } from "../support/s3.ts";
import { needs } from "../support/needs.ts";

const names = ["plain", "a/b c+ü.txt", "it's (1)*!~=&?#%41.gz", "日本/ß.json"];

const test = needs("versitygw");

test.describe("a request for an object", () => {
  test("is made without the SDK as the store takes it, whatever the name", async () => {
    const { client, asked } = await bucketWith(names);
    const shortcut = createShortcut(client);
    assert.equal(await shortcut.request("plain", {}), undefined);
    await shortcut.learn(await asked(names[1]!), names[1]!);
    for (const name of names) {
      const answer = await send((await shortcut.request(name, {}))!, undefined);
      assert.equal(await answer.text(), `content of ${name}`);
    }
    const part = await send((await shortcut.request("plain", { range: "bytes=0-6" }))!, undefined);
    assert.equal(part.status, 206);
    assert.equal(await part.text(), "content");
  });

  test("carries the session's token where the keys have one", async () => {
    const { client, asked } = await bucketWith([], { sessionToken: "of a while" });
    const shortcut = createShortcut(client);
    await shortcut.learn(await asked("plain"), "plain");
    const request = await shortcut.request("other", {});
    assert.equal(request?.headers["x-amz-security-token"], "of a while");
    assert.match(request!.headers["authorization"]!, /SignedHeaders=[^,]*x-amz-security-token/);
  });

  test("stays the SDK's where it signs in another way", async () => {
    const { client, asked } = await bucketWith([]);
    const request = await asked("plain");
    const authorization = request.headers["authorization"]!;
    for (
      const other of [
        authorization.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        authorization.replace("/s3/", "/s3express/"),
        authorization.replace(/.$/, (last) => last === "0" ? "1" : "0"),
      ]
    ) {
      const shortcut = createShortcut(client);
      const headers = { ...request.headers, authorization: other };
      await shortcut.learn({ ...request, headers }, "plain");
      assert.equal(await shortcut.request("plain", {}), undefined, other);
    }
  });
});

/** A bucket with objects, and how the SDK asks for one. */
async function bucketWith(names: readonly string[], keys: { sessionToken?: string } = {}) {
  const server = await s3Server();
  const Bucket = await server.bucket();
  for (const Key of names) {
    await server.client.send(new PutObjectCommand({ Bucket, Key, Body: `content of ${Key}` }));
  }
  let last: SignedRequest | undefined;
  const { accessKeyId, secretAccessKey, endpoint } = server;
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey, ...keys },
    requestHandler: {
      ...fetchHandler,
      async handle(request: SignedRequest) {
        last = request;
        return await fetchHandler.handle(request);
      },
    },
  });
  const asked = async (Key: string): Promise<SignedRequest> => {
    await client.send(new GetObjectCommand({ Bucket, Key })).catch(() => {});
    return last!;
  };
  return { client, asked };
}
