import assert from "node:assert/strict";
import { test } from "node:test";
import { MongoClient } from "mongodb";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import type { SourceInfo } from "../../../src/contracts/source.ts";
import type { BackupError } from "../../../src/core/errors.ts";
import { mongo, type MongoServer, startMongo } from "../../support/mongo.ts";
import { type MongoCapability, needsMongo } from "../../support/mongoKinds.ts";
import { never } from "../../support/runtime.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { code, optionsOf, withConnector } from "./opened.ts";

const o = { signal: never };

/** Makes a user of `admin` and gives the options to connect as that. */
async function userWith(server: MongoServer, roles: unknown[], privileges: unknown[] = []) {
  const admin = (await server.client()).db("admin");
  const user = server.freshDatabase();
  const role = `${user} role`;
  await admin.command({ createRole: role, privileges, roles: [] });
  await admin.command({ createUser: user, pwd: "secret", roles: [role, ...roles] });
  return optionsOf(server, { url: server.url("", { user, password: "secret" }) });
}

const canLogIn = async (
  server: MongoServer,
  user: string,
  password: string,
  authSource: string,
) => {
  const url = server.url("", { user, password, params: { authSource } });
  const client = await MongoClient.connect(url).catch(() => undefined);
  await client?.close();
  return client !== undefined;
};

const denied = ({ privileges }: SourceInfo) =>
  privileges.filter(({ isGranted }) => !isGranted).map(({ name }) => name);

/** A server with a database `shop`, a user and a role that belong to it, and another database. */
async function makeShop(server: MongoServer) {
  const client = await server.client();
  await client.db("shop").collection("c").insertOne({ n: 1 });
  await client.db("secret").collection("c").insertOne({ n: 1 });
  const privileges = [{ resource: { db: "shop", collection: "c" }, actions: ["find"] }];
  await client.db("shop").command({ createRole: "looker", privileges, roles: [] });
  await client.db("shop").command({ createUser: "app", pwd: "app's #1", roles: ["looker"] });
  await client.db("admin").command({ createUser: "ops", pwd: "ops", roles: ["backup"] });
}

for (const isReplicaSet of [false, true]) {
  const shape: MongoCapability = isReplicaSet ? "oplog" : "standalone";
  const can: MongoCapability[] = [shape, "roles", "accounts"];
  const kind = isReplicaSet ? "a replica set" : "a standalone";
  needsMongo(...can).describe(`mongodb accounts on ${kind}`, () => {
    let started: Promise<MongoServer> | undefined;
    /** One server with the shop for all of these tests; each leaves its databases as they were. */
    const shopServer = () =>
      started ??= (async () => {
        const server = await startMongo({ can, auth: true });
        await makeShop(server);
        return server;
      })();

    test("are an artifact of their own", async () => {
      const backup = await withConnector(
        optionsOf(await shopServer()),
        (one) => backUp(mongodb, one),
      );
      assert.deepEqual(backup.artifacts.map(({ head }) => head.role), ["dump", "accounts"]);
      assert.deepEqual(backup.artifacts[1]?.contents, { databases: [] });
    });

    needsMongo(...can, "accountsRestore")("come back with --accounts only", async () => {
      const source = await shopServer();
      const target = await startMongo({ can: ["standalone", "accountsRestore"], auth: true });
      const backup = await withConnector(optionsOf(source), (one) => backUp(mongodb, one));
      assert.deepEqual(backup.artifacts.map(({ head }) => head.role), ["dump", "accounts"]);
      assert.deepEqual(backup.artifacts[1]?.contents, { databases: [] });
      const chain = chainOf(mongodb, backup);
      await withConnector(optionsOf(target), (one) => restoreInto(one, chain));
      assert.equal(await canLogIn(target, "app", "app's #1", "shop"), false);

      await withConnector(
        optionsOf(target),
        (one) => restoreInto(one, chain, { isOverwrite: true, isWithAccounts: true }),
      );
      assert.equal(await canLogIn(target, "app", "app's #1", "shop"), true);
      assert.equal(await canLogIn(target, "ops", "ops", "admin"), true);
      const shop = (await target.client()).db("shop");
      const { roles } = await shop.command({ rolesInfo: "looker", showPrivileges: true });
      assert.deepEqual(roles[0].privileges, [
        { resource: { db: "shop", collection: "c" }, actions: ["find"] },
      ]);
      const { users } = await shop.command({ usersInfo: "app" });
      assert.deepEqual(users[0].roles, [{ role: "looker", db: "shop" }]);
      await target.stop();
    });

    needsMongo(...can, "accountsRestore")(
      "of one database are only those that belong to it",
      async () => {
        const server = await shopServer();
        const backup = await withConnector(
          optionsOf(server, { database: "shop" }),
          (one) => backUp(mongodb, one),
        );
        assert.deepEqual(backup.artifacts.map(({ head }) => [head.role, head.databases]), [
          ["dump", ["shop"]],
          ["accounts", ["shop"]],
        ]);
        const client = await server.client();
        await client.db("shop").command({ dropUser: "app" });
        await client.db("shop").command({ dropRole: "looker" });
        await withConnector(optionsOf(server, { database: "copy" }), async (one) => {
          const { plan } = await restoreInto(one, chainOf(mongodb, backup), {
            isWithAccounts: true,
          });
          assert.match(plan.warnings.join(), /keep the names of their databases/);
        });
        assert.equal(await canLogIn(server, "app", "app's #1", "shop"), true);
        assert.equal(await canLogIn(server, "ops", "ops", "admin"), true);
        await client.db("copy").dropDatabase();
      },
    );

    test("a user with the built-in role backup has all that a dump needs", async () => {
      const server = await shopServer();
      const options = await userWith(server, ["backup"]);
      await withConnector(options, async (one) => {
        const info = await one.inspect(o);
        assert.deepEqual(denied(info), []);
        assert.deepEqual(info.omissions, []);
        assert.equal(info.warnings.length, isReplicaSet ? 0 : 1);
        assert.ok(Math.abs(info.clockOffsetMs ?? Infinity) < 5_000);
        const { artifacts, result } = await backUp(mongodb, one);
        assert.deepEqual(artifacts.map(({ head }) => head.role), ["dump", "accounts"]);
        assert.deepEqual(result.inventory.databases.map(({ database }) => database), [
          "secret",
          "shop",
        ]);
      });
    });

    needsMongo(...can, "builtInRoles")(
      "a user of one database is told what a dump of all would leave out",
      async () => {
        const server = await shopServer();
        const options = await userWith(server, [{ role: "read", db: "shop" }]);
        await withConnector(options, async (one) => {
          const info = await one.inspect(o);
          assert.deepEqual(info.omissions.map(({ name }) => name), ["databases", "accounts"]);
          assert.ok(info.omissions.every(({ name }) => mongodb.omissions.includes(name)));
          assert.deepEqual(denied(info).slice(0, 3), [
            "listDatabases",
            "find on all databases",
            "find on admin.system.users",
          ]);
          // Once the job accepts that, what is left is dumped, and named.
          const { artifacts, result } = await backUp(mongodb, one);
          assert.deepEqual(artifacts.map(({ head }) => [head.role, head.databases]), [
            ["dump", ["shop"]],
          ]);
          assert.deepEqual(result.omitted.map(({ name }) => name), ["databases", "accounts"]);
          assert.match(result.warnings.join(), /no single moment/);
        });
        await withConnector({ ...options, database: "shop" }, async (one) => {
          assert.deepEqual((await one.inspect(o)).omissions, []);
          const { result } = await backUp(mongodb, one);
          assert.deepEqual(result.omitted, []);
          assert.match(result.warnings.join(), /Users and roles are not in the backup/);
        });
        await withConnector(
          { ...options, database: "secret" },
          (one) =>
            assert.rejects(
              backUp(mongodb, one),
              (error: BackupError) =>
                code("connection/denied")(error) && /secret/.test(error.message) &&
                /role backup/.test(error.hint ?? ""),
            ),
        );
      },
    );

    needsMongo(...can, "builtInRoles")(
      "a user who may read every database but not the accounts is told so",
      async () => {
        const server = await shopServer();
        await withConnector(await userWith(server, ["readAnyDatabase"]), async (one) => {
          assert.deepEqual((await one.inspect(o)).omissions.map(({ name }) => name), ["accounts"]);
          const { artifacts, result } = await backUp(mongodb, one);
          assert.deepEqual(artifacts.map(({ head }) => head.databases), [["secret"], ["shop"]]);
          assert.match(result.warnings.join(), /no single moment/);
          assert.deepEqual(result.inventory.databases.map(({ database }) => database), [
            "secret",
            "shop",
          ]);
        });
      },
    );
  });
}

needsMongo("roles", "accounts").describe("mongodb restore by users of few rights", () => {
  needsMongo("builtInRoles")("is refused without the role restore, and works with it", async () => {
    const server = await mongo({ can: ["builtInRoles"], auth: true });
    const client = await server.client();
    const [from, to] = [server.freshDatabase(), server.freshDatabase()];
    await client.db(from).collection("c").insertOne({});
    await client.db(from).collection("c").createIndex({ a: 1 });
    const backup = await withConnector(
      optionsOf(server, { database: from }),
      (one) => backUp(mongodb, one),
    );
    const reader = await userWith(server, [{ role: "read", db: to }]);
    const isDenied = (action: string) => (error: BackupError) =>
      code("connection/denied")(error) && error.message.includes(action) &&
      error.message.includes(`"${to}"`) && /roles restore and readAnyD/.test(error.hint ?? "");
    await withConnector(
      { ...reader, database: to },
      (one) =>
        assert.rejects(restoreInto(one, chainOf(mongodb, backup)), isDenied("lacks insert on")),
    );
    const writer = await userWith(server, ["restore"]);
    await withConnector(
      { ...writer, database: to },
      (one) =>
        assert.rejects(restoreInto(one, chainOf(mongodb, backup)), isDenied("lacks find on")),
    );
    assert.equal(await client.db(to).collection("c").countDocuments(), 0);
    const restorer = await userWith(server, ["restore", "readAnyDatabase"]);
    await withConnector(
      { ...restorer, database: to },
      (one) => restoreInto(one, chainOf(mongodb, backup)),
    );
    assert.equal(await client.db(to).collection("c").countDocuments(), 1);
  });

  needsMongo("replay", "roles")("of a dump with an oplog works with the same roles", async () => {
    const source = await startMongo({ can: ["replay", "roles"], auth: true });
    const target = await startMongo({ can: ["standalone", "roles"], auth: true });
    await (await source.client()).db("shop").collection("c").insertOne({});
    const backup = await withConnector(optionsOf(source), (one) => backUp(mongodb, one));
    await withConnector(
      await userWith(target, ["restore", "readAnyDatabase"]),
      (one) => restoreInto(one, chainOf(mongodb, backup)),
    );
    assert.equal(await (await target.client()).db("shop").collection("c").countDocuments(), 1);
    await Promise.all([source.stop(), target.stop()]);
  });
});
