import assert from "node:assert/strict";
import { describe, test as plainTest } from "node:test";
import type { Storage } from "../../src/contracts/storage.ts";
import { azure, type AzureOptions, openAzure } from "../../src/storage/azure/mod.ts";
import { storageContract, type StorageSetup } from "../contracts/storage.ts";
import { azurite } from "../support/azurite.ts";
import { quickRetry } from "../support/clouds.ts";
import { type Answer, type Fault, type FaultProxy, faultProxy } from "../support/faultProxy.ts";
import { never, testRuntime } from "../support/runtime.ts";

/** What a store puts on every answer. */
const asStore = { "x-ms-request-id": "0" };

const o = { signal: never };
const text = (content: string) => new TextEncoder().encode(content);

storageContract("azure", () => setup({}));
storageContract("azure in blocks", () => setup({ partBytes: 256 * 1024 }));

async function setup(o: { partBytes?: number }): Promise<StorageSetup> {
  const server = await azurite();
  const { accountName, accountKey } = server;
  const container = await server.createContainer();
  const storage = await openAzure(
    { container, prefix: "some/where", accountName, accountKey, endpoint: server.endpoint() },
    { runtime: testRuntime(), ...o },
  );
  return { storage, teardown: () => Promise.resolve() };
}

describe("an Azure container", () => {
  plainTest("that is to be reached without a key and without TLS is refused at once", async () => {
    const env = Object.fromEntries(
      ["CONNECTION_STRING", "KEY", "SAS_TOKEN"].map((name) => [`AZURE_STORAGE_${name}`, ""]),
    );
    const endpoint = "http://127.0.0.1:1/acme";
    await assert.rejects(
      openAzure({ container: "c", accountName: "acme", endpoint }, {
        runtime: testRuntime({ env }),
      }),
      { code: "config/bad-credentials" },
    );
  });

  const test = (
    title: string,
    use: (o: {
      proxy: FaultProxy;
      open: (more?: Partial<AzureOptions>) => Promise<Storage>;
      names: () => Promise<string[]>;
    }) => Promise<void>,
  ) =>
    plainTest(title, async () => {
      const server = await azurite();
      const { accountName, accountKey } = server;
      const container = await server.createContainer();
      const proxy = await faultProxy(server.port);
      const endpoint = `${proxy.url}/${accountName}`;
      try {
        await use({
          proxy,
          open: (more = {}) =>
            openAzure({ container, accountName, accountKey, endpoint, ...more }, {
              runtime: testRuntime(),
              retry: quickRetry,
            }),
          names: () => server.names(container),
        });
      } finally {
        await proxy.close();
      }
    });

  const withHeaders = (headers: Record<string, string>) => (answer: Required<Answer>) => ({
    ...answer,
    headers: { ...answer.headers, ...headers },
  });

  test("is told to retain what is put", async ({ open, proxy }) => {
    const storage = await open({ retention: { mode: "Locked", days: 2 } });
    // Azurite keeps no policy; what counts is what it is asked for.
    await storage.put("kept", text("x"), o);
    const { headers } = proxy.requests.findLast(({ method }) => method === "PUT")!;
    assert.equal(headers.get("x-ms-immutability-policy-mode"), "Locked");
    const until = Date.parse(headers.get("x-ms-immutability-policy-until-date")!);
    assert.ok(Math.abs(until - Date.now() - 2 * 86_400_000) < 60_000);
  });

  test("keeps what is retained, and says until when", async ({ open, proxy, names }) => {
    const storage = await open();
    await storage.put("kept", text("x"), o);
    const until = new Date(Date.now() + 86_400_000).toUTCString();
    proxy.fail({
      method: "HEAD",
      fault: {
        kind: "alter-answer",
        alter: withHeaders({ "x-ms-immutability-policy-until-date": until }),
      },
    });
    await assert.rejects(
      storage.delete("kept", o),
      ({ code, message }) => code === "storage/retained" && /retained until/.test(message),
    );
    proxy.heal();
    proxy.fail({
      method: "HEAD",
      fault: { kind: "alter-answer", alter: withHeaders({ "x-ms-legal-hold": "true" }) },
    });
    assert.ok((await storage.stat("kept", o))!.retainedUntil! > new Date("9000-01-01"));
    proxy.heal();
    proxy.fail({
      method: "DELETE",
      fault: {
        kind: "answer",
        answer: { status: 409, headers: { "x-ms-error-code": "BlobImmutableDueToPolicy" } },
      },
    });
    await assert.rejects(storage.delete("kept", o), { code: "storage/retained" });
    assert.deepEqual(await names(), ["kept"]);
  });

  test("of an account that keeps versions loses all of a blob's", async ({ open, proxy }) => {
    const storage = await open();
    await storage.put("old", text("x"), o);
    const version = (id: string, name: string) =>
      `<Blob><Name>${name}</Name><VersionId>${id}</VersionId><Properties>` +
      "<Content-Length>1</Content-Length></Properties></Blob>";
    proxy.fail(
      {
        method: "HEAD",
        fault: { kind: "alter-answer", alter: withHeaders({ "x-ms-version-id": "2026-01-02" }) },
      },
      {
        path: /include=versions/,
        fault: {
          kind: "answer",
          answer: {
            status: 200,
            headers: { "content-type": "application/xml", ...asStore },
            body: '<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>' +
              version("2026-01-01", "old") + version("2026-01-02", "old") +
              version("2026-01-03", "older") + "</Blobs><NextMarker/></EnumerationResults>",
          },
        },
      },
      {
        method: "DELETE",
        path: /versionid=/,
        times: 2,
        fault: { kind: "answer", answer: { status: 202, headers: asStore } },
      },
    );
    await storage.delete("old", o);
    const deletes = proxy.requests.filter(({ method }) => method === "DELETE")
      .map(({ path }) => /versionid=([\d-]+)/.exec(path)?.[1]);
    assert.deepEqual(deletes, [undefined, "2026-01-01", "2026-01-02"]);
  });

  test("loses one version, which is first taken from its place where it is the newest", async ({ open, proxy, names }) => {
    const storage = await open();
    await storage.put("one", text("x"), o);
    const told = { kind: "alter-answer", alter: withHeaders({ "x-ms-version-id": "2026-01-02" }) };
    const gone = { kind: "answer", answer: { status: 202, headers: asStore } } as const;
    proxy.fail(
      { method: "HEAD", times: 2, fault: told as Fault },
      { method: "DELETE", path: /versionid=/, times: 2, fault: gone },
    );
    const deletes = () =>
      proxy.requests.filter(({ method }) => method === "DELETE")
        .map(({ path }) => /versionid=([\d-]+)/.exec(path)?.[1]);
    await storage.delete("one", { ...o, version: "2026-01-01" });
    assert.deepEqual(deletes(), ["2026-01-01"]);
    assert.deepEqual(await names(), ["one"]);
    await storage.delete("one", { ...o, version: "2026-01-02" });
    assert.deepEqual(deletes(), ["2026-01-01", undefined, "2026-01-02"]);
    assert.deepEqual(await names(), []);
  });

  test("never takes an acknowledgement of other bytes for its own", async (place) => {
    const storage = await place.open();
    place.proxy.fail({
      method: "PUT",
      times: Infinity,
      fault: {
        kind: "alter-answer",
        alter: withHeaders({ "content-md5": "AAAAAAAAAAAAAAAAAAAAAA==" }),
      },
    });
    await assert.rejects(storage.put("lie", text("truth"), o), { code: "storage/checksum" });
    assert.deepEqual(await place.names(), []);
  });

  test("opens by connection string, by signature and by the variables of az", async (place) => {
    const { accountName, accountKey, port } = await azurite();
    const endpoint = `http://127.0.0.1:${port}/${accountName}`;
    const connectionString = `DefaultEndpointsProtocol=http;AccountName=${accountName};` +
      `AccountKey=${accountKey};BlobEndpoint=${endpoint};`;
    const container = await (await azurite()).createContainer();
    const byString = await openAzure({ container, connectionString }, { runtime: testRuntime() });
    await byString.put("a", text("1"), o);
    assert.match(byString.location, new RegExp(`^az://${accountName}/${container}$`));

    const { generateAccountSASQueryParameters, StorageSharedKeyCredential, AccountSASPermissions } =
      await import("@azure/storage-blob");
    const { AccountSASServices, AccountSASResourceTypes } = await import("@azure/storage-blob");
    const sasToken = generateAccountSASQueryParameters({
      permissions: AccountSASPermissions.parse("rwdlc"),
      services: AccountSASServices.parse("b").toString(),
      resourceTypes: AccountSASResourceTypes.parse("sco").toString(),
      expiresOn: new Date(Date.now() + 600_000),
    }, new StorageSharedKeyCredential(accountName, accountKey)).toString();
    const bySignature = await openAzure({ container, accountName, sasToken, endpoint }, {
      runtime: testRuntime(),
    });
    assert.equal((await bySignature.stat("a", o))?.bytes, 1);

    const env = { AZURE_STORAGE_KEY: accountKey, AZURE_STORAGE_CONNECTION_STRING: "AccountName=x" };
    const byVariable = await openAzure({ container, accountName, endpoint }, {
      runtime: testRuntime({ env }),
    });
    assert.equal((await byVariable.stat("a", o))?.bytes, 1);
    await assert.rejects(place.open({ accountKey: "bm90IGl0" }).then((s) => s.stat("a", o)), {
      code: "storage/denied",
    });
  });

  test("shows no key in what it logs or throws", async () => {
    const runtime = testRuntime();
    const sasToken = "sv=2025&sig=c4n4ry-s1gnature%3D";
    const storage = await openAzure(
      { container: "c", accountName: "a", sasToken, endpoint: "http://127.0.0.1:1" },
      { runtime, retry: quickRetry },
    );
    const error = await storage.stat("x", o).then(() => undefined, (error) => error);
    assert.equal(error.code, "storage/unavailable");
    assert.ok(!String(error.message).includes("c4n4ry"));
    assert.equal(runtime.secrets.redact("sig=c4n4ry-s1gnature%3D"), "sig=[redacted]");
    assert.ok(!storage.location.includes("c4n4ry"));
  });
});

plainTest("an az: URL names account, container, prefix and options", () => {
  assert.deepEqual(azure.fromUrl("az://acme/backups/db/one?endpoint=http://h:1/acme"), {
    accountName: "acme",
    container: "backups",
    prefix: "db/one",
    endpoint: "http://h:1/acme",
  });
  assert.deepEqual(azure.fromUrl("az://acme/backups"), {
    accountName: "acme",
    container: "backups",
  });
  for (const url of ["az://acme", "az://", "az://acme/c?accountKey=x", "az://acme/c?sasToken=x"]) {
    assert.throws(() => azure.fromUrl(url), { code: "usage/bad-url" }, url);
  }
});
