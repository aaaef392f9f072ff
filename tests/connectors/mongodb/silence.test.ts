import assert from "node:assert/strict";
import { test } from "node:test";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import type { Connector } from "../../../src/contracts/connector.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { type MongoServer, startMongo } from "../../support/mongo.ts";
import { needs } from "../../support/needs.ts";
import { mongoKinds, needsMongo } from "../../support/mongoKinds.ts";
import { never } from "../../support/runtime.ts";
import { stopServer, whileStopped } from "../../support/stopped.ts";
import { backUp, chainOf, restoreOptions } from "../sqlite/memoryBackup.ts";
import { code, optionsOf, withConnector } from "./opened.ts";

const limits = { connectTimeoutMs: 500, answerTimeoutMs: 1_500 };

async function filled(server: MongoServer): Promise<string> {
  const database = server.freshDatabase();
  const documents = Array.from({ length: 20_000 }, (_, n) => ({ n, pad: "x".repeat(1000) }));
  await (await server.client()).db(database).collection("c").insertMany(documents);
  return database;
}

needsMongo().describe("a MongoDB server that is stopped", () => {
  let started: Promise<{ server: MongoServer; database: string }> | undefined;
  const ready = () =>
    started ??= (async () => {
      const server = await startMongo();
      return { server, database: await filled(server) };
    })();

  const calls: Record<string, (connector: Connector, database: string) => Promise<unknown>> = {
    inspect: (connector) => connector.inspect({ signal: never }),
    databases: (connector) => connector.databases({ signal: never }),
    inventory: (connector, database) => connector.inventory(database, { signal: never }),
    dump: (connector) => backUp(mongodb, connector),
  };
  for (const [name, call] of Object.entries(calls)) {
    test(`ends ${name}() within its limit, on a connection that was there before`, async () => {
      const { server, database } = await ready();
      await withConnector(optionsOf(server, { database, ...limits }), async (connector) => {
        await connector.databases({ signal: never });
        await whileStopped(
          server.pids(),
          () => assert.rejects(call(connector, database), code("connection/silent")),
        );
      });
    });

    test(`lets an abort end ${name}() at once`, async () => {
      const { server, database } = await ready();
      const reason = new BackupError("interrupted/signal", "stopped");
      const aborting = { signal: AbortSignal.abort(reason) };
      await withConnector(optionsOf(server, { database }), async (connector) => {
        await connector.databases({ signal: never });
        const controller = new AbortController();
        await whileStopped(server.pids(), async () => {
          setTimeout(() => controller.abort(reason), 100);
          const running = name === "dump"
            ? connector.dump(
              { kind: "full", settings: {}, stallMs: 60_000 },
              () => Promise.reject(new Error("nothing comes")),
              controller,
            )
            : name === "inventory"
            ? connector.inventory(database, controller)
            : connector[name as "inspect" | "databases"](controller);
          await assert.rejects(running, reason);
        });
        await assert.rejects(connector.databases(aborting), reason);
      });
    });
  }

  test("ends a restore that plans", async () => {
    const { server, database } = await ready();
    const backup = await withConnector(
      optionsOf(server, { database }),
      (connector) => backUp(mongodb, connector),
    );
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to, ...limits }), async (connector) => {
      await connector.inspect({ signal: never }).catch(() => {});
      await whileStopped(server.pids(), () =>
        assert.rejects(
          connector.planRestore(chainOf(mongodb, backup), restoreOptions(), { signal: never }),
          code("connection/silent"),
        ));
    });
  });

  test("in the middle of a dump ends it and mongodump, long before the limit of its silence", async () => {
    const { server, database } = await ready();
    await withConnector(optionsOf(server, { database, ...limits }), async (connector) => {
      let stopped: ReturnType<typeof stopServer> | undefined;
      const running = connector.dump(
        { kind: "full", settings: {}, stallMs: 600_000 },
        async (_, bytes) => {
          for await (const _chunk of bytes) {
            stopped ??= stopServer(server.pids());
          }
          return { databases: [] };
        },
        { signal: never },
      );
      try {
        await assert.rejects(running, code("connection/silent"));
      } finally {
        stopped?.goOn();
      }
    });
  });

  test("in the middle of a restore ends it and mongorestore", async () => {
    const { server, database } = await ready();
    const backup = await withConnector(
      optionsOf(server, { database }),
      (connector) => backUp(mongodb, connector),
    );
    let stopped: ReturnType<typeof stopServer> | undefined;
    const to = server.freshDatabase();
    await withConnector(optionsOf(server, { database: to, ...limits }), async (connector) => {
      const chain = chainOf(mongodb, backup, {
        open: async function* (bytes) {
          yield bytes.slice(0, 2_000_000);
          stopped = stopServer(server.pids());
          yield bytes.slice(2_000_000);
        },
      });
      const options = restoreOptions();
      const plan = await connector.planRestore(chain, options, { signal: never });
      try {
        await assert.rejects(
          connector.restore(chain, plan, options, { signal: never }),
          code("connection/silent"),
        );
      } finally {
        stopped?.goOn();
      }
    });
  });

  // Its database is a process of its own.
  needs("ferretdb", "mongotools")("behind a door that still answers is given up, too", async () => {
    const server = await startMongo({ kind: mongoKinds.find(({ name }) => name === "FerretDB")! });
    const database = await filled(server);
    await withConnector(optionsOf(server, { database, ...limits }), async (connector) => {
      await connector.databases({ signal: never });
      const postgres = server.pids()[1]!;
      await whileStopped(
        postgres,
        () =>
          assert.rejects(
            connector.inventory(database, { signal: never }),
            code("connection/silent"),
          ),
      );
    });
  });

  test("for less than the limit is waited for", async () => {
    const { server, database } = await ready();
    const options = optionsOf(server, { database, answerTimeoutMs: 60_000 });
    await withConnector(options, async (connector) => {
      await connector.databases({ signal: never });
      const running = whileStopped(
        server.pids(),
        () => new Promise((resolve) => setTimeout(resolve, 1_000)),
      );
      const { objects } = await connector.inventory(database, { signal: never });
      await running;
      assert.equal(objects[0]?.count, 20_000);
    });
  });

  test("killed in the middle of a dump ends it at once", async () => {
    const server = await startMongo();
    const database = await filled(server);
    await withConnector(optionsOf(server, { database, ...limits }), async (connector) => {
      let isKilled = false;
      const running = connector.dump(
        { kind: "full", settings: {}, stallMs: 600_000 },
        async (_, bytes) => {
          for await (const _chunk of bytes) {
            if (isKilled) continue;
            isKilled = true;
            await server.stop("SIGKILL");
          }
          return { databases: [] };
        },
        { signal: never },
      );
      await assert.rejects(running, (error: BackupError) => {
        assert.ok(["connection/silent", "dump/failed"].includes(error.code), error.code);
        return true;
      });
    });
  });
});
