import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { clouds } from "../support/clouds.ts";
import { needs } from "../support/needs.ts";
import { on, withPlace } from "../storage/faults.ts";
import { fails, listed, place, succeeds } from "./support/cli.ts";
import { makeSqlite } from "./support/sqlite.ts";

const keys = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };

/** The URL of a store that nobody runs. */
async function nowhere(): Promise<string> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  const port = typeof address === "object" && address !== null ? address.port : 1;
  return `s3://bucket/p?endpoint=http://127.0.0.1:${port}`;
}

describe("a store that does not answer", () => {
  test("is told at once by list and doctor", async () => {
    const at = place("silent-store", keys);
    const url = await nowhere();
    const list = await fails(at, ["list", "--from", url], "storage/unavailable", 6);
    assert.match(list.stderr, /Waiting for s3:\/\/bucket\/p, for up to 5\.0s more: .* is refused/);
    assert.doesNotMatch(list.stderr, /retryTimeout/, "list has no such setting");
    const doctor = await fails(at, ["doctor", "--to", url], "storage/unavailable", 6);
    assert.match(doctor.stdout, /ERROR +cannot write: .*the connection is refused/);
    assert.doesNotMatch(doctor.stdout, /ok +s3:/);
  });

  test("is waited for as long as the job's retryTimeout or the flag say, and told", async () => {
    const at = place("patience", keys);
    makeSqlite(join(at.folder, "shop.db"));
    const [bucket, endpoint] = (await nowhere()).split("?endpoint=");
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      `databases: { shop: { type: sqlite, path: shop.db } }
destinations:
  gone: { type: s3, bucket: ${bucket!.split("/")[2]}, endpoint: "${endpoint}" }
jobs:
  shop: { database: shop, destinations: [gone], retryTimeout: 5s }
`,
      { mode: 0o600 },
    );
    const { stderr } = await fails(at, ["backup", "shop"], "storage/unavailable", 6);
    assert.match(stderr, /Waiting for s3:\/\/bucket, for up to \d\.\ds more/);
    assert.match(stderr, /is refused \(tried for [1-5]\.\d*s\) \(storage\/unavailable\)/);
    assert.match(stderr, /^hint: .*retryTimeout, or --retry-timeout/m);
    const shown = await succeeds(at, ["config", "show"]);
    assert.match(shown.stdout, /retryTimeout"?: "?5s/);
    await fails(at, ["backup", "shop", "--retry-timeout", "1s"], "storage/unavailable", 6);
    await fails(at, ["backup", "shop", "--retry-timeout", "soon"], "usage/bad-value", 2);
  });

  for (const cloud of clouds) {
    needs(...cloud.needs)(
      `${cloud.name}: for a while ends no backup`,
      () =>
        withPlace(cloud, async ({ proxy, url, env }) => {
          const at = place("outage", env);
          makeSqlite(join(at.folder, "shop.db"), 12);
          // The first tries follow each other quickly; this is some seconds of refusing.
          proxy.fail(...on("part", { kind: "refuse" }, 1, 6)(cloud));
          const args = ["backup", "--from", "sqlite:shop.db", "--to", url, "--compression", "none"];
          await succeeds(at, args, { timeoutMs: 110_000 });
          assert.equal(proxy.struck, 6);
          assert.equal((await listed(at, url)).length, 1);
        }),
    );
  }
});
