import assert from "node:assert/strict";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connectorKinds } from "../../src/registry.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import { copyBackups } from "../../src/jobs/copy/copy.ts";
import { openHistory } from "../../src/jobs/shared/history.ts";
import { listBackups } from "../../src/jobs/list/list.ts";
import { verifyBackups } from "../../src/jobs/verify/verify.ts";
import { local } from "../../src/storage/local/mod.ts";
import { tempDir } from "../support/workspace.ts";
import { contextOf, jobOf } from "./support.ts";

/** The same folder, spelled in several ways. */
function spellings(): string[] {
  const folder = tempDir("places");
  mkdirSync(join(folder, "a", "inside"), { recursive: true });
  symlinkSync(join(folder, "a"), join(folder, "link"));
  return ["a", "a/", "./a/inside/..", "link"].map((one) => `${folder}/${one}`);
}

function destinationAt(path: string) {
  return { name: path, kind: local, options: { path } };
}

describe("one folder that is given twice", () => {
  test("is one copy: a run is partial, and nothing tells to delete or copy it", async () => {
    const [first, ...others] = spellings();
    for (const other of others) {
      const job = jobOf({}, { destinations: [destinationAt(first!), destinationAt(other)] });
      const result = await runBackup(job, contextOf());
      assert.equal(result.status, "partial");
      const [committed, failed] = result.destinations;
      assert.deepEqual([committed!.status, failed!.status], ["committed", "failed"]);
      assert.equal(failed?.status === "failed" && failed.error.code, "config/same-place");
      assert.match(failed?.status === "failed" ? failed.error.message : "", /is the same place as/);
      assert.match(result.error!.message, /is missing at 1 of 2 destinations/);
      assert.doesNotMatch(`${result.error!.hint}`, /dbbackup copy|delete/);
    }
  });

  test("is read once, and no source of a copy to itself", async () => {
    const paths = spellings();
    const destinations = paths.map(destinationAt);
    const o = contextOf();
    await runBackup(jobOf({}, { destinations: destinations.slice(0, 1) }), o);
    const { backups } = await listBackups(destinations, o);
    assert.deepEqual(backups.map((one) => one.destinations), [[paths[0]]]);
    const results = await verifyBackups(
      { destinations, backups: [], isDeep: true, kinds: connectorKinds },
      o,
    );
    assert.deepEqual(results.map(({ status }) => status), ["good"]);
    await assert.rejects(
      copyBackups({ sources: [destinations[0]!], to: destinations[1]!, wanted: [] }, o),
      { code: "usage/same-place" },
    );
  });
});

describe("the record of runs", () => {
  test("that is damaged is put aside once, and a new one is used", async () => {
    const o = contextOf();
    mkdirSync(o.stateDir, { recursive: true });
    const path = join(o.stateDir, "state.db");
    writeFileSync(path, "this is no database, and long enough to be taken for one".repeat(100));
    const history = await openHistory(o);
    history.begin("aaaaaaa1", "shop", "disk", "shop/x/", new Date());
    assert.equal(history.unfinished("shop", "disk").length, 1);
    history.close();
    const again = await openHistory(o);
    assert.equal(again.unfinished("shop", "disk").length, 1, "the new one stays");
    again.close();
    assert.ok(readdirSync(o.stateDir).includes("state.db.damaged"));
  });

  test("that turns out damaged in its middle is put aside, too", async () => {
    const o = contextOf();
    const first = await openHistory(o);
    for (let number = 0; number < 2000; number++) {
      first.begin(`r${number}`, "shop", "disk", `shop/${number}/`, new Date());
    }
    first.close();
    const path = join(o.stateDir, "state.db");
    const { openSync, writeSync, closeSync } = await import("node:fs");
    const file = openSync(path, "r+");
    writeSync(file, new Uint8Array(65_536).fill(255), 0, 65_536, 8192);
    closeSync(file);
    const history = await openHistory(o);
    assert.deepEqual(history.unfinished("shop", "disk"), []);
    history.begin("aaaaaaa1", "shop", "disk", "shop/x/", new Date());
    assert.equal(history.unfinished("shop", "disk").length, 1);
    history.close();
  });
});

describe("a manifest that is larger than any", () => {
  test("damages its own backup in a verify, and ends nothing else", async () => {
    const path = tempDir("large");
    const destinations = [destinationAt(path)];
    const o = contextOf();
    await runBackup(jobOf({}, { destinations }), o);
    const late = { ...o, runtime: { ...o.runtime, now: () => new Date(Date.now() + 2000) } };
    await runBackup(jobOf({}, { destinations }), late);
    const [folder] = readdirSync(join(path, "shop")).sort();
    writeFileSync(join(path, "shop", folder!, "manifest.json"), new Uint8Array(65 * 1024 * 1024));
    const results = await verifyBackups(
      { destinations, backups: [], isDeep: true, kinds: connectorKinds },
      o,
    );
    assert.deepEqual(results.map(({ status }) => status).sort(), ["damaged", "good"]);
    const problem = results.find(({ status }) => status === "damaged")!.problems[0]!;
    assert.equal(problem.code, "verification/manifest");
    assert.match(problem.message, /longer than 64 MiB/);
    const { backups } = await listBackups(destinations, o);
    assert.deepEqual(backups.map(({ error }) => error?.code), [undefined, "verification/manifest"]);
  });
});
