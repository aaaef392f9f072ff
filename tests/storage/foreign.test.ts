import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";
import { collect } from "../../src/core/bytes.ts";
import { type BackupError, hasCode } from "../../src/core/errors.ts";
import { openAzure } from "../../src/storage/azure/mod.ts";
import { openGcs } from "../../src/storage/gcs/mod.ts";
import { openS3 } from "../../src/storage/s3/mod.ts";
import { type Cloud, clouds, type Operation } from "../support/clouds.ts";
import type { Answer, Rule } from "../support/faultProxy.ts";
import { needs } from "../support/needs.ts";
import { never, testRuntime } from "../support/runtime.ts";
import { contentOf, inChunks, withPlace } from "./faults.ts";

const o = { signal: never };
const page = "<!DOCTYPE html><html><body>Please log in to the hotel's network</body></html>";

/** What something else than a store answers to everything. */
const answers: Readonly<Record<string, Answer>> = {
  "a login page with status 200": {
    status: 200,
    headers: { "content-type": "text/html; charset=utf-8" },
    body: page,
  },
  "a page that does not say what it is": { status: 200, body: page },
  "status 200 and nothing": { status: 200 },
  "a way to a login page": { status: 302, headers: { location: "http://login.hotel.example/" } },
  "a login wanted by the network": { status: 511, body: page },
};

const everything = (answer: Answer): Rule => ({
  times: Infinity,
  fault: { kind: "answer", answer },
});

const operations: Readonly<Record<string, (storage: Storage, cloud: Cloud) => Promise<unknown>>> = {
  "a small put": (storage, cloud) => storage.put("key", contentOf(cloud, true), o),
  "a put in parts": (storage, cloud) => storage.put("key", inChunks(contentOf(cloud)), o),
  "a look": (storage) => storage.stat("key", o),
  "a list": async (storage) => {
    for await (const _ of storage.list("", o));
  },
  "a read": (storage) => collect(storage.get("key", o)),
};

for (const cloud of clouds) {
  needs(...cloud.needs).describe(`${cloud.name}, where something else answers,`, () => {
    for (const [title, answer] of Object.entries(answers)) {
      for (const [what, run] of Object.entries(operations)) {
        test(`takes ${title} for no answer to ${what}`, () =>
          withPlace(cloud, async ({ proxy, open, names }) => {
            const storage = await open();
            proxy.fail(everything(answer));
            await assert.rejects(run(storage, cloud), (error) => {
              assert.ok(hasCode(error, "storage/foreign-answer"), String(error));
              assert.match(error.message, /^Cannot \w+( at)? ".*": something else than the store/);
              assert.ok(error.hint?.includes("requires a login"));
              return true;
            });
            proxy.heal();
            assert.deepEqual(await names(), []);
            await storage.close();
          }));
      }
    }

    // Of a store that answered well before: one request of an upload is answered by another.
    for (const operation of ["put", "begin", "part", "complete"] as const) {
      for (const title of ["a login page with status 200", "status 200 and nothing"]) {
        test(`does not take ${title} for the acknowledgement of ${operation}`, () =>
          withPlace(cloud, async (place) => {
            await refusesLie(cloud, place, operation, answers[title]!);
          }));
      }
    }
  });
}

async function refusesLie(
  cloud: Cloud,
  { proxy, open }: Parameters<Parameters<typeof withPlace>[1]>[0],
  operation: Operation,
  answer: Answer,
): Promise<void> {
  const storage = await open();
  const { nth = 1, ...request } = cloud.requests[operation];
  proxy.fail({ ...request, nth, times: Infinity, fault: { kind: "answer", answer } });
  const content = contentOf(cloud, operation === "put");
  const body = operation === "put" ? content : inChunks(content);
  await assert.rejects(storage.put("key", body, o), (error) => hasCode(error, "storage/"));
  assert.ok(proxy.struck > 0);
  proxy.heal();
  assert.equal(await storage.stat("key", o), undefined);
  await storage.close();
}

needs("versitygw").describe("S3, whose answer says 200 and is none,", () => {
  const amazon = clouds.find(({ name }) => name === "s3")!;
  const xml = (body: string): Answer => ({
    status: 200,
    headers: { "content-type": "application/xml" },
    body: `<?xml version="1.0" encoding="UTF-8"?>${body}`,
  });
  const failed = xml("<Error><Code>InternalError</Code><Message>Try again.</Message></Error>");
  const lost = xml("<Error><Code>NoSuchUpload</Code><Message>It is gone.</Message></Error>");
  const fault = (answer: Answer) => ({ kind: "answer", answer }) as const;

  test("is asked again to complete an upload, and then it is there", () =>
    withPlace(amazon, async ({ proxy, open }) => {
      const storage = await open();
      proxy.fail({ ...amazon.requests.complete, fault: fault(failed) });
      const { bytes } = await storage.put("key", inChunks(contentOf(amazon)), o);
      assert.equal((await storage.stat("key", o))?.bytes, bytes);
      assert.equal(proxy.struck, 1);
      await storage.close();
    }));

  for (const [title, answer] of Object.entries({ "an error": failed, "a loss": lost })) {
    test(`has stored nothing where it goes on telling ${title} in it`, () =>
      withPlace(amazon, async ({ proxy, open, names, unfinished }) => {
        const storage = await open();
        proxy.fail({ ...amazon.requests.complete, times: Infinity, fault: fault(answer) });
        await assert.rejects(
          storage.put("key", inChunks(contentOf(amazon)), o),
          (error) => hasCode(error, "storage/"),
        );
        assert.deepEqual([await names(), await unfinished()], [[], 0]);
        await storage.close();
      }));
  }

  test("is asked again for a list that is cut short, and never taken for an empty one", () =>
    withPlace(amazon, async ({ proxy, open }) => {
      const storage = await open();
      await storage.put("key", contentOf(amazon, true), o);
      const cut = xml("<ListBucketResult><Name>b</Name><Contents><Key>p/ke");
      const { list } = amazon.requests;
      const keys = async () => {
        const found: string[] = [];
        for await (const { key } of storage.list("", o)) found.push(key);
        return found;
      };
      proxy.fail({ ...list, fault: fault(cut) });
      assert.deepEqual(await keys(), ["key"]);
      proxy.fail({ ...list, times: Infinity, fault: fault(cut) });
      await assert.rejects(keys(), (error) => {
        assert.ok(hasCode(error, "storage/unavailable"), String(error));
        assert.match(error.message, /answer is not whole/);
        return true;
      });
      await storage.close();
    }));

  test("tells the bucket's region where it knows it", () =>
    withPlace(amazon, async ({ proxy, open }) => {
      const storage = await open();
      const wrong: Answer = {
        ...xml(
          "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The region is wrong" +
            "</Message><Region>eu-west-3</Region></Error>",
        ),
        status: 400,
      };
      proxy.fail({ ...amazon.requests.list, times: Infinity, fault: fault(wrong) });
      const listing = async () => {
        for await (const _ of storage.list("", o));
      };
      await assert.rejects(listing(), (error) => {
        assert.ok(hasCode(error, "storage/failed"), String(error));
        assert.match(error.message, /the bucket is in region eu-west-3/);
        assert.match(error.hint ?? "", /destination's region/);
        return true;
      });
      await storage.close();
    }));
});

const runtime = () => testRuntime();
const s3 = {
  bucket: "b",
  endpoint: "https://store.example",
  accessKeyId: "AK",
  secretAccessKey: "x",
};
const azure = { container: "c", accountName: "a", accountKey: "a2V5" };

/** What is wrong with a destination before anything is asked, and how it is told. */
const mistakes: readonly (readonly [
  what: string,
  open: () => Promise<Storage>,
  code: string,
  message: RegExp,
  hint?: RegExp,
])[] = [
  [
    "an endpoint without https://",
    () => openS3({ ...s3, endpoint: "minio.local:9000" }, { runtime: runtime() }),
    "config/bad-endpoint",
    /^Cannot use the endpoint "minio.local:9000": it does not begin with https:\/\/$/,
    /"https:\/\/minio.local:9000"/,
  ],
  [
    "an endpoint with its keys in it",
    () => openS3({ ...s3, endpoint: "https://AK:canary@store" }, { runtime: runtime() }),
    "config/bad-endpoint",
    /^Cannot use the endpoint "https:\/\/…@store": it has a user or a password$/,
  ],
  [
    "an endpoint in a variable",
    () => {
      const { endpoint: _, ...rest } = s3;
      return openS3(rest, { runtime: testRuntime({ env: { AWS_ENDPOINT_URL: "minio:9000" } }) });
    },
    "config/bad-endpoint",
    /^Cannot use the AWS_ENDPOINT_URL "minio:9000"/,
  ],
  [
    "a region with a space",
    () => openS3({ ...s3, region: "eu central 1" }, { runtime: runtime() }),
    "config/s3-region",
    /^No region is called "eu central 1"$/,
  ],
  ...["my bucket", "bucket/prefix", "büro", "a\nb"].map((bucket) =>
    [
      `a bucket called ${JSON.stringify(bucket)}`,
      () => openS3({ ...s3, bucket }, { runtime: runtime() }),
      "config/bad-bucket",
      /^No bucket is called "/,
    ] as const
  ),
  [
    "a bucket of Google with a slash",
    () => openGcs({ bucket: "bucket/prefix" }, { runtime: runtime() }),
    "config/bad-bucket",
    /^No bucket is called "bucket\/prefix"$/,
    /is the prefix/,
  ],
  [
    "a container with a slash",
    () => openAzure({ ...azure, container: "c/p" }, { runtime: runtime() }),
    "config/bad-bucket",
    /^No container is called "c\/p"$/,
  ],
  [
    "an account that is a host",
    () => openAzure({ ...azure, accountName: "a.blob.core.windows.net" }, { runtime: runtime() }),
    "config/bad-bucket",
    /^No account is called "a.blob.core.windows.net"$/,
  ],
  [
    "a secret key with a line feed at its end",
    () => openS3({ ...s3, secretAccessKey: "canary\n" }, { runtime: runtime() }),
    "config/bad-credentials",
    /^The secretAccessKey has a line feed at its end$/,
    /Copy it again/,
  ],
  [
    "an access key with a line feed at its end, in a variable",
    () => {
      const env = { AWS_ACCESS_KEY_ID: "canary\r\n", AWS_SECRET_ACCESS_KEY: "x" };
      const { accessKeyId: _, secretAccessKey: __, ...rest } = s3;
      return openS3(rest, { runtime: testRuntime({ env }) });
    },
    "config/bad-credentials",
    /^The AWS_ACCESS_KEY_ID has a line feed at its end$/,
  ],
  [
    "a key of Azure that is not base64",
    () => openAzure({ ...azure, accountKey: "canary!" }, { runtime: runtime() }),
    "config/bad-credentials",
    /^The accountKey is not base64$/,
  ],
  [
    "a key of Azure that lost its end",
    () =>
      openAzure({
        container: "c",
        connectionString: "AccountName=a;AccountKey=canary;EndpointSuffix=core.windows.net",
      }, { runtime: runtime() }),
    "config/bad-credentials",
    /^The AccountKey of the connectionString is not base64$/,
  ],
  [
    "a shared access signature that has expired",
    () =>
      openAzure({
        container: "c",
        accountName: "a",
        sasToken: "?sv=2024-01-01&se=2020-01-01T00%3A00%3A00Z&sig=canary",
      }, { runtime: runtime() }),
    "config/bad-credentials",
    /^The shared access signature expired at 2020-01-01T00:00:00.000Z$/,
  ],
  [
    "a prefix with a line feed",
    () => openS3({ ...s3, prefix: "a\nb" }, { runtime: runtime() }),
    "config/bad-prefix",
    /^Cannot use the prefix "a\\nb"$/,
  ],
  [
    "an endpoint of Azure without https://",
    () => openAzure({ ...azure, endpoint: "a.local:10000" }, { runtime: runtime() }),
    "config/bad-endpoint",
    /does not begin with https/,
  ],
  [
    "an endpoint of Google that is no URL",
    () => openGcs({ bucket: "b", apiEndpoint: "ftp://x" }, { runtime: runtime() }),
    "config/bad-endpoint",
    /does not begin with https/,
  ],
];

describe("a destination is refused before anything is asked for", () => {
  for (const [what, open, code, message, hint] of mistakes) {
    test(what, () =>
      assert.rejects(open(), (error: BackupError) => {
        assert.deepEqual([error.code, message.test(error.message)], [code, true], error.message);
        assert.ok(!`${error.message} ${error.hint}`.includes("canary"));
        if (hint !== undefined) assert.match(error.hint ?? "", hint);
        return true;
      }));
  }

  test("but not for what its store has: an access point, a bare host of Google's", async () => {
    const arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/backups";
    await (await openS3({ ...s3, bucket: arn }, { runtime: runtime() })).close();
    const google = { bucket: "b_1.example.com", apiEndpoint: "storage.local:4443" };
    await (await openGcs(google, { runtime: runtime() })).close();
    await (await openAzure({ ...azure, container: "$root" }, { runtime: runtime() })).close();
  });
});
