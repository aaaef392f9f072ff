import { storageContract } from "../contracts/storage.ts";
import { s3 } from "../../src/storage/s3/mod.ts";
import { needs } from "../support/needs.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { type BucketKind, s3Server } from "../support/s3.ts";

needs("versitygw").describe("on versitygw", () => {
  storageContract("s3", () => setup("plain"));
  storageContract("s3 with versions", () => setup("versioned"));
  storageContract("s3 with object lock", () => setup("locked"));
});

async function setup(kind: BucketKind) {
  const server = await s3Server();
  const bucket = await server.bucket(kind);
  const options = { ...server.options(bucket), prefix: "some/prefix" };
  const storage = await s3.open(options, { runtime: testRuntime(), signal: never });
  return { storage, teardown: () => Promise.resolve() };
}
