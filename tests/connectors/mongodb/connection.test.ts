import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import path from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MongoClient } from "mongodb";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import { resolveAddress } from "../../../src/connectors/mongodb/uri.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { known } from "../../../src/core/secret.ts";
import { mongo, type MongoServer } from "../../support/mongo.ts";
import { needsMongo } from "../../support/mongoKinds.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { code, optionsOf, withConnector } from "./opened.ts";

const o = { signal: never };
const anyText = fc.string({ unit: "binary", minLength: 1 })
  .filter((text) => text.isWellFormed() && !text.includes("\0"));

describe("mongodb addresses", () => {
  test("carry every user and password unharmed to the driver and the tool", () =>
    fc.assert(fc.asyncProperty(anyText, anyText, async (user, password) => {
      const options = { host: "db", port: 27018, user, password: known(password) };
      const address = await resolveAddress({ ...options, authSource: "some db" }, testRuntime());
      const { credentials, hosts } = new MongoClient(address.uri).options;
      assert.deepEqual([credentials?.username, credentials?.password], [user, password]);
      assert.equal(credentials?.source, "some db");
      assert.deepEqual(hosts.map(String), ["db:27018"]);
    })));

  const cases: Record<string, [url: string, uri: RegExp, selected: string[] | undefined]> = {
    "one host and its database, which knows the user": [
      "mongodb://u:p@h/shop",
      /^mongodb:\/\/u:p@h\/\?.*authSource=shop/,
      ["shop"],
    ],
    "an authSource of its own": [
      "mongodb://u:p@h:1/shop?authSource=admin",
      /authSource=admin$/,
      ["shop"],
    ],
    "several hosts and a replica set": [
      "mongodb://a:1,b:2,c/?replicaSet=rs0",
      /^mongodb:\/\/a:1,b:2,c\/\?.*replicaSet=rs0/,
      undefined,
    ],
    "IPv6": ["mongodb://[::1]:27018/", /^mongodb:\/\/\[::1\]:27018\//, undefined],
    "a Unix socket": [
      "mongodb://%2Ftmp%2Fmongodb-27017.sock/shop",
      /^mongodb:\/\/%2Ftmp%2Fmongodb-27017\.sock\//,
      ["shop"],
    ],
    "a service record": [
      "mongodb+srv://u:p@cluster.test/shop",
      /^mongodb\+srv:.*test\/\?(?!.*authSource)/,
      [
        "shop",
      ],
    ],
    "X.509, which has no database of users": [
      "mongodb://CN=x@h/shop?authMechanism=MONGODB-X509",
      /^(?!.*authSource)/,
      ["shop"],
    ],
  };
  for (const [what, [url, uri, selected]] of Object.entries(cases)) {
    test(`understand ${what}`, async () => {
      const address = await resolveAddress(
        mongodb.options.parse(mongodb.fromUrl(url)),
        testRuntime(),
      );
      assert.match(address.uri, uri);
      assert.deepEqual(address.selected, selected);
      assert.ok(!address.label.includes(":p@"));
    });
  }

  test("say TLS the same way to both", async () => {
    const tls = async (
      options: object,
    ) => (await resolveAddress({ host: "h", tls: options }, testRuntime()));
    assert.match((await tls({ mode: "disable" })).uri, /tls=false/);
    assert.ok(!(await tls({ mode: "prefer" })).uri.includes("tls"));
    assert.match((await tls({ mode: "require" })).uri, /tls=true&tlsInsecure=true$/);
    const full = await tls({ mode: "verify-full", ca: "/a b/ca.pem", cert: "/c.pem" });
    assert.match(full.uri, /tls=true&tlsCAFile=%2Fa%20b%2Fca.pem&tlsCertificateKeyFile=%2Fc.pem$/);
    assert.equal(full.isHostnameIgnored, false);
    assert.equal((await tls({ mode: "verify-ca", ca: "/ca" })).isHostnameIgnored, true);
    await assert.rejects(tls({ cert: "/c", key: "/k" }), code("config/connection"));
  });

  test("give a job its name", () => {
    const name = (url: string) => mongodb.jobName(mongodb.fromUrl(url));
    assert.equal(name("mongodb://u:p@h:1/shop?x=y"), "shop");
    assert.equal(name("mongodb://db1:1,db2:2"), "db1");
    assert.equal(mongodb.jobName({ host: "h" }), "h");
    assert.equal(mongodb.jobName({}), "mongodb");
  });
});

/** A folder with tools that note their arguments and environment, then are the real ones. */
function notingTools(server: MongoServer): { folder: string; notes: () => string } {
  const folder = tempDir("tools");
  const file = path.join(folder, "notes");
  writeFileSync(file, "");
  for (const tool of ["mongodump", "mongorestore"]) {
    const real = path.join(server.toolsDir ?? "", tool);
    const script =
      `#!/bin/sh\n{ tr '\\0' '\\n' </proc/$$/cmdline; env; } >>'${file}'\nexec '${real}' "$@"\n`;
    writeFileSync(path.join(folder, tool), script);
    chmodSync(path.join(folder, tool), 0o755);
  }
  return { folder, notes: () => readFileSync(file, "utf8") };
}

needsMongo().describe("mongodb connections", () => {
  for (
    const password of [
      "#hash",
      `quo"te's`,
      "back\\slash",
      " spaces ",
      "at@sign",
      "50%25",
      "a:b/c?d&e=f",
      "ünï ß",
      "{y: [a, m]}",
      "'",
      '"',
    ]
  ) {
    test(`the password ${JSON.stringify(password)} works, and no process list shows it`, async () => {
      const server = await mongo({ auth: true });
      const client = await server.client();
      const [database, to, user] = [0, 1, 2].map(() => server.freshDatabase()) as [
        string,
        string,
        string,
      ];
      const pwd = `${password}canary`;
      await client.db(database).collection("c").insertOne({});
      await client.db("admin").command({ createUser: user, pwd, roles: ["root"] });
      const { folder, notes } = notingTools(server);
      const options = {
        ...{ host: server.host, port: server.port, toolsDir: folder },
        ...{ user, password: known(pwd), authSource: "admin" },
      };
      const runtime = testRuntime();
      const backup = await withConnector(
        { ...options, database },
        (connector) => backUp(mongodb, connector),
        runtime,
      );
      await withConnector(
        { ...options, database: to },
        (connector) => restoreInto(connector, chainOf(mongodb, backup)),
        runtime,
      );
      assert.match(notes(), /--config=\/dev\/fd\/3/);
      assert.match(notes(), /--archive/);
      assert.ok(!notes().includes("canary"), notes());
      assert.ok(!runtime.secrets.redact(`x ${encodeURIComponent(pwd)} y`).includes("canary"));
      assert.equal(await client.db(to).collection("c").countDocuments(), 1);
      await client.db("admin").command({ dropUser: user });
    });
  }

  test("a wrong password, and none, are told from each other", async () => {
    const server = await mongo({ auth: true });
    const asking = (url: string) =>
      withConnector({ url, toolsDir: server.toolsDir }, (connector) => connector.inspect(o));
    await assert.rejects(
      asking(server.url("", { password: "wrong-canary" })),
      (error: BackupError) =>
        code("connection/authentication")(error) && /Authentication failed/.test(error.message) &&
        !JSON.stringify([error.message, error.hint, error.details]).includes("wrong-canary"),
    );
    const anonymous = `mongodb://${server.host}:${server.port}`;
    await assert.rejects(
      asking(anonymous),
      (error: BackupError) =>
        code("connection/authentication")(error) && /requires authentication/.test(error.message),
    );
  });

  test("a server that does not listen is unreachable, in the time that it is given", async () => {
    const closed = createServer().listen(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address() as { port: number };
    closed.close();
    await once(closed, "close");
    await withConnector(
      { host: "127.0.0.1", port, connectTimeoutMs: 300 },
      (connector) =>
        assert.rejects(
          connector.databases(o),
          (error: BackupError) =>
            code("connection/unreachable")(error) && error.message.includes(`127.0.0.1:${port}`),
        ),
    );
  });

  test("a name that leads nowhere is unreachable", () =>
    withConnector(
      { host: "no-such-host.invalid", connectTimeoutMs: 300 },
      (connector) => assert.rejects(connector.inspect(o), code("connection/unreachable")),
    ));

  test("a server that accepts and says nothing does not hold up an abort", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as { port: number };
    const reason = new BackupError("interrupted/signal", "stopped");
    const controller = new AbortController();
    const startedAt = performance.now();
    await withConnector(
      { host: "127.0.0.1", port, connectTimeoutMs: 60_000 },
      async (connector) => {
        const asking = connector.inspect({ signal: controller.signal });
        setTimeout(() => controller.abort(reason), 100);
        await assert.rejects(asking, reason);
      },
    );
    assert.ok(performance.now() - startedAt < 20_000);
    silent.close();
  });

  test("a database that is not there is named, with those that are", async () => {
    const server = await mongo();
    const there = server.freshDatabase();
    await (await server.client()).db(there).createCollection("c");
    await withConnector(optionsOf(server, { database: "nowhere" }), async (connector) => {
      await assert.rejects(
        connector.databases(o),
        (error: BackupError) =>
          code("connection/no-database")(error) && error.message.includes('"nowhere"') &&
          error.hint!.includes(there),
      );
    });
    await withConnector(
      optionsOf(server, { database: "local" }),
      (connector) => assert.rejects(connector.databases(o), code("connection/no-database")),
    );
  });

  test("missing tools are told before anything starts, with the folder", async () => {
    const server = await mongo();
    const database = server.freshDatabase();
    await (await server.client()).db(database).createCollection("c");
    const backup = await withConnector(
      optionsOf(server, { database }),
      (connector) => backUp(mongodb, connector),
    );
    const toolsDir = tempDir("no-tools");
    const isMissing = (name: string) => (error: Error) =>
      code("dump/tool-missing")(error) && error.message.includes(name) &&
      error.message.includes(toolsDir);
    await withConnector(optionsOf(server, { database, toolsDir }), async (connector) => {
      await assert.rejects(backUp(mongodb, connector), isMissing("mongodump"));
      const info = await connector.inspect(o);
      assert.deepEqual(info.tools, [
        { name: "mongodump", path: undefined, version: undefined },
        { name: "mongorestore", path: undefined, version: undefined },
      ]);
    });
    const target = optionsOf(server, { database: server.freshDatabase(), toolsDir });
    await withConnector(
      target,
      (connector) =>
        assert.rejects(restoreInto(connector, chainOf(mongodb, backup)), isMissing("mongorestore")),
    );
  });

  test("an address that the driver refuses is a bad URL", () =>
    withConnector(
      { url: "mongodb://localhost/?no%20such=parameter" },
      (connector) => assert.rejects(connector.inspect(o), code("usage/bad-url")),
    ));
});
