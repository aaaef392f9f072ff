import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { createServer } from "node:tls";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import type { MongodbOptions } from "../../../src/connectors/mongodb/options.ts";
import { certificates } from "../../support/certificates.ts";
import { mongo } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { never } from "../../support/runtime.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { code, withConnector } from "./opened.ts";

/** Not every server at hand is built with TLS, so a proxy speaks it in its place. */
async function tlsProxy(port: number): Promise<{ port: number; close: () => void }> {
  const { certFile, keyFile } = await certificates();
  const server = createServer(
    { cert: readFileSync(certFile), key: readFileSync(keyFile) },
    (client) => {
      const upstream = connect(port, "127.0.0.1");
      client.pipe(upstream).pipe(client);
      client.on("error", () => upstream.destroy());
      upstream.on("error", () => client.destroy());
    },
  );
  server.on("tlsClientError", () => {});
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** The proxy, too, but its certificate does not name it. */
const otherHost = "127.0.0.2";

needsMongo().describe("mongodb over TLS", () => {
  test("driver and tools check the same certificate, in every mode", async () => {
    const server = await mongo();
    const { caFile, otherCaFile, hostname } = await certificates();
    const proxy = await tlsProxy(server.port);
    const database = server.freshDatabase();
    await (await server.client()).db(database).collection("c").insertOne({ n: 1 });
    const options = (host: string, tls: MongodbOptions["tls"]): MongodbOptions => ({
      url: `mongodb://${host}:${proxy.port}/?directConnection=true`,
      ...{ tls, toolsDir: server.toolsDir, connectTimeoutMs: 2_000 },
    });
    const trusted: [string, MongodbOptions["tls"]][] = [
      [hostname, { mode: "verify-full", ca: caFile }],
      [otherHost, { mode: "verify-ca", ca: caFile }],
      [otherHost, { mode: "require" }],
    ];
    for (const [host, tls] of trusted) {
      const backup = await withConnector(
        { ...options(host, tls), database },
        (connector) => backUp(mongodb, connector),
      );
      const to = server.freshDatabase();
      await withConnector(
        { ...options(host, tls), database: to },
        (connector) => restoreInto(connector, chainOf(mongodb, backup)),
      );
      assert.equal(await (await server.client()).db(to).collection("c").countDocuments(), 1);
    }
    const refused: [string, MongodbOptions["tls"]][] = [
      [hostname, { mode: "verify-full", ca: otherCaFile }],
      [otherHost, { mode: "verify-full", ca: caFile }],
      [otherHost, { mode: "verify-ca", ca: otherCaFile }],
    ];
    for (const [host, tls] of refused) {
      await withConnector(
        options(host, tls),
        (connector) => assert.rejects(connector.inspect({ signal: never }), code("connection/tls")),
      );
    }
    proxy.close();
  });
});
