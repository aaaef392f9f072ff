import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { backup } from "../../src/cli/commands/backup.ts";
import { adHocJob, databaseFromUrl, destinationFromUrl } from "../../src/config/adhoc.ts";
import { declarationFile } from "../../src/config/declaration.ts";
import {
  defaultsSchema,
  jobFlags,
  jobSchema,
  shownJob,
  writtenByFlags,
} from "../../src/config/job.ts";
import { jobKeys } from "../../src/config/job-keys.ts";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { connectorKinds, storageKinds } from "../../src/registry.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const readme = readFileSync(join(root, "README.md"), "utf8");
const schema = JSON.stringify(
  configJsonSchema({ connectors: connectorKinds, storages: storageKinds }),
);
const declaration = await declarationFile();
const database = databaseFromUrl("sqlite:shop.db", connectorKinds);
const job = adHocJob(database, [destinationFromUrl("/b", storageKinds, "/")], {});

describe("every key of a job", () => {
  for (const [name, key] of Object.entries(jobKeys)) {
    test(`${name} is checked, shown, documented and offered by editors`, () => {
      assert.ok(name in jobSchema.shape);
      assert.ok(name in shownJob(job));
      assert.ok(schema.includes(`"${name}":{`), "JSON Schema");
      assert.match(declaration, new RegExp(`readonly ${name}\\??: `), "dbbackup.d.ts");
      assert.ok(readme.includes(`\`${name}\``), "README");
      assert.ok(key.schema.description, "a description");
    });
  }
});

test("defaults have every key but those of jobs alone", () => {
  const only = Object.entries(jobKeys).filter(([, key]) => key.isOnlyOfJobs === true)
    .map(([name]) => name);
  assert.deepEqual(only, ["database"]);
  const names = Object.keys(jobKeys).filter((name) => !only.includes(name));
  assert.deepEqual(Object.keys(defaultsSchema.shape), names);
  const type = `Partial<Omit<JobInput<NoInfer<D>, NoInfer<S>>, "${only.join('" | "')}">>`;
  assert.ok(declaration.includes(`readonly defaults?: ${type};`));
});

test("every flag of a key is an option of backup", () => {
  const usage = JSON.stringify(backup.parser.usage);
  assert.ok(jobFlags().length > 10);
  for (const [, { flag }] of jobFlags()) assert.ok(usage.includes(`"${flag}"`), flag);
});

test("flags write what a config would, and say which of them the key does not take", () => {
  const never = () => assert.fail();
  assert.deepEqual(
    writtenByFlags(
      { timeout: "2h", exclude: ["a"], schemaOnly: false, accept: [], level: 3 },
      {},
      never,
    ),
    { timeout: "2h", exclude: ["a"], compression: { codec: "gzip", level: 3 } },
  );
  assert.throws(
    () => {
      writtenByFlags({ volumeSize: "big" }, {}, ({ flag }) => {
        throw new Error(flag);
      });
    },
    /--volume-size/,
  );
});

test("a level alone is one of the job's own codec, and of none it is refused", () => {
  const never = () => assert.fail();
  const zstd = { ...job, compression: { codec: "zstd", level: 3 } };
  assert.deepEqual(writtenByFlags({ level: 9 }, zstd, never), {
    compression: { codec: "zstd", level: 9 },
  });
  assert.deepEqual(writtenByFlags({ compression: "gzip", level: 9 }, zstd, never), {
    compression: { codec: "gzip", level: 9 },
  });
  const none = { ...job, compression: { codec: "none" } };
  assert.throws(() => writtenByFlags({ level: 9 }, none, never), { code: "usage/bad-value" });
  assert.throws(() => writtenByFlags({ compression: "none", level: 9 }, zstd, never), {
    code: "usage/bad-value",
    message: "--compression-level needs a compression",
  });
});
