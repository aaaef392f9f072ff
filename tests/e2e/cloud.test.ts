import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { azurite } from "../support/azurite.ts";
import { gcs } from "../support/gcs.ts";
import { needs } from "../support/needs.ts";
import { s3Server } from "../support/s3.ts";
import { fails, listed, place, succeeds } from "./support/cli.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

/** Backs up, lists, verifies and restores, all with the compiled binary and a URL. */
async function roundTrip(name: string, url: string, env: Record<string, string>): Promise<void> {
  const at = place(name, env);
  makeSqlite(join(at.folder, "shop.db"), 10);
  await succeeds(at, ["backup", "--from", "sqlite:shop.db", "--to", url, "--compression", "none"]);
  assert.equal((await listed(at, url)).length, 1);
  await succeeds(at, ["verify", "--deep", "--from", url]);
  await succeeds(at, ["restore", "--from", url, "--to", "sqlite:back.db", "--yes"]);
  assert.equal(ordersOf(join(at.folder, "back.db")), ordersOf(join(at.folder, "shop.db")));
}

needs("versitygw")("the binary backs up to S3 and restores from there", async () => {
  const server = await s3Server();
  for (const kind of ["plain", "locked"] as const) {
    const bucket = await server.bucket(kind);
    await roundTrip("s3", `s3://${bucket}/shop?endpoint=${server.endpoint}`, { ...server.env });
  }
});

needs("versitygw")("doctor says what a bucket can do, and what is wrong with it", async () => {
  const server = await s3Server();
  const bucket = await server.bucket("versioned");
  const at = place("s3-doctor", { ...server.env });
  const url = `s3://${bucket}/shop?endpoint=${server.endpoint}`;
  const { stdout } = await succeeds(at, ["doctor", "--to", url]);
  assert.match(stdout, /of two writers, one wins/);
  assert.match(stdout, /large objects are uploaded in parts of 11\.0 MiB/);
  assert.match(stdout, /keeps versions/);
  assert.deepEqual(await server.versions(bucket), []);
  const missing = `s3://no-such-bucket/shop?endpoint=${server.endpoint}`;
  await fails(at, ["doctor", "--to", missing], "the bucket does not exist", 6);
});

needs("fakegcs")(
  "the binary backs up to Google Cloud Storage and restores from there",
  async () => {
    const server = await gcs();
    const bucket = await server.createBucket();
    await roundTrip("gcs", `gs://${bucket}/shop?apiEndpoint=${server.endpoint()}`, {});
  },
);

test("the binary backs up to Azure and restores from there", async () => {
  const server = await azurite();
  const container = await server.createContainer();
  const url = `az://${server.accountName}/${container}/shop?endpoint=${server.endpoint()}`;
  await roundTrip("azure", url, { AZURE_STORAGE_KEY: server.accountKey });
});

test("the binary has what it takes to log in, and says so when nothing helps", async () => {
  const at = place("cloud-login", {
    // Nothing answers there, so that no machine's own identity gets in the way.
    GCE_METADATA_HOST: "127.0.0.1:1",
    METADATA_SERVER_DETECTION: "none",
  });
  makeSqlite(join(at.folder, "shop.db"));
  const backup = (url: string) => ["backup", "--from", "sqlite:shop.db", "--to", url];
  const google = await fails(at, backup("gs://nobodys-bucket"), "storage/denied", 6);
  assert.match(google.stderr, /application-default login/);
  const azure = await fails(at, backup("az://nobodysaccount/backups"), "storage/denied", 6);
  assert.match(azure.stderr, /az login/);
});
