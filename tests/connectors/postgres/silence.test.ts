import assert from "node:assert/strict";
import { test } from "node:test";
import { postgres as kind } from "../../../src/connectors/postgres/mod.ts";
import type { PostgresOptions } from "../../../src/connectors/postgres/options.ts";
import type { Connector } from "../../../src/contracts/connector.ts";
import type { Emit } from "../../../src/contracts/dump.ts";
import type { Bytes } from "../../../src/core/bytes.ts";
import { hasCode } from "../../../src/core/errors.ts";
import { needs } from "../../support/needs.ts";
import { type PostgresServer, startPostgres } from "../../support/postgres.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { shared } from "../../support/shared.ts";
import { stopServer, whileStopped } from "../../support/stopped.ts";
import { chainOf, restoreOptions } from "../sqlite/memoryBackup.ts";
import { code, databasesOf, dumpOf, optionsOf, withConnector } from "./opened.ts";

// Long enough for a busy machine's logins, short against every other limit.
const limits = { answerTimeoutMs: 3_000, connectTimeoutMs: 3_000 };
const gone = code("connection/silent", /has not answered for 3 s$/);
const notLetIn = code("connection/unreachable", /no answer within 3 s|no connection was accepted/);
/** Told by a connection that is there, or by one that has to be made. */
const givenUp = (error: unknown) =>
  hasCode(error, "connection/silent") ? gone(error) : notLetIn(error);
const stallMs = 600_000;

needs("postgres15").describe("a PostgreSQL server that is stopped", () => {
  const started = () =>
    shared("postgres that is stopped", async () => {
      const server = await startPostgres(15);
      const database = await server.createDatabase("shop");
      await server.psql(
        database,
        "CREATE TABLE t AS SELECT i, repeat('x', 900) FROM generate_series(1, 30000) i",
      );
      return { server, options: { ...optionsOf(server, database), ...limits } };
    });

  /** A connector that the server has let in. */
  const known = async (options: PostgresOptions) => {
    const connector = await kind.open(options, { runtime: testRuntime(), signal: never });
    await connector.databases({ signal: never });
    return connector;
  };

  test("ends every call of the driver, and holds up neither the end nor the next call", async () => {
    const { server, options } = await started();
    const backup = await dumpOf(options);
    const chain = chainOf(kind, backup);
    const o = { signal: never };
    const plan = await withConnector(
      options,
      (connector) => connector.planRestore(chain, restoreOptions({ isOverwrite: true }), o),
    );
    const emit: Emit = () => Promise.reject(new Error("nothing is emitted"));
    const calls: ((connector: Connector) => Promise<unknown>)[] = [
      (connector) => connector.inspect(o),
      (connector) => connector.databases(o),
      (connector) => connector.inventory("shop", o),
      (connector) => connector.dump({ kind: "full", settings: {}, stallMs }, emit, o),
      (connector) => connector.planRestore(chain, restoreOptions({ isOverwrite: true }), o),
      (connector) => connector.restore(chain, plan, restoreOptions({ isOverwrite: true }), o),
    ];
    const connectors = await Promise.all(calls.map(() => known(options)));
    await whileStopped(server.pid(), async () => {
      await Promise.all(calls.map(async (call, index) => {
        const connector = connectors[index]!;
        await assert.rejects(call(connector), givenUp, `call ${index}`);
        await assert.rejects(connector.databases(o), givenUp, `after call ${index}`);
        await connector.close();
      }));
    });
  });

  test("is no server to somebody new", async () => {
    const { server, options } = await started();
    await whileStopped(server.pid(), async () => {
      await withConnector(options, async (connector) => {
        await assert.rejects(connector.inspect({ signal: never }), notLetIn);
      });
    });
  });

  test("does not outlast an interrupt, whatever waits for it", async () => {
    const { server, options } = await started();
    const patient = { ...options, answerTimeoutMs: 600_000, connectTimeoutMs: 600_000 };
    const connector = await known(patient);
    await whileStopped(server.pid(), async () => {
      const reason = new Error("interrupted");
      const interrupting = new AbortController();
      const call = connector.inspect({ signal: interrupting.signal });
      setTimeout(() => interrupting.abort(reason), 500);
      await assert.rejects(call, (error) => error === reason);
      await connector.close();
    });
  });

  test("ends pg_dump in the middle of a table", async () => {
    const { server, options } = await started();
    let stopped: { goOn(): void } | undefined;
    const emit: Emit = async (head, bytes) => {
      for await (const _ of bytes) {
        if (head.role === "dump") stopped ??= stopServer(server.pid());
      }
      return { databases: [] };
    };
    try {
      await withConnector(options, async (connector) => {
        await assert.rejects(
          connector.dump({ kind: "full", settings: {}, stallMs }, emit, { signal: never }),
          gone,
        );
      });
    } finally {
      stopped?.goOn();
    }
    await assertNoSessions(server);
  });

  test("ends pg_restore in the middle of a table, and what was there before is still", async () => {
    const { server, options } = await started();
    const backup = await dumpOf(options);
    let opened = 0;
    let stopped: { goOn(): void } | undefined;
    async function* open(bytes: Uint8Array): Bytes {
      const isForTool = ++opened === 3; // the first two read the head
      for (let at = 0; at < bytes.length; at += 1 << 20) {
        yield bytes.slice(at, at + (1 << 20));
        if (isForTool && at > 0) stopped ??= stopServer(server.pid());
      }
    }
    const chain = chainOf(kind, backup, { open });
    try {
      await withConnector(options, async (connector) => {
        const overwriting = restoreOptions({ isOverwrite: true });
        const plan = await connector.planRestore(chain, overwriting, { signal: never });
        await assert.rejects(
          connector.restore(chain, plan, overwriting, { signal: never }),
          gone,
        );
      });
    } finally {
      stopped?.goOn();
    }
    assert.notEqual(stopped, undefined);
    assert.ok((await databasesOf(server)).includes("shop"));
    assert.equal(await server.psql("shop", "SELECT count(*) FROM t"), "30000");
  });

  test("ends all workers of a pg_restore, and what was there before is still", async () => {
    const { server, options } = await started();
    const slow = await server.createDatabase("slow");
    await server.psql(
      slow,
      `CREATE FUNCTION slowly(int) RETURNS bool LANGUAGE plpgsql
         AS 'BEGIN PERFORM pg_sleep(60 * $1); RETURN true; END';
       CREATE TABLE a (id int CHECK (slowly(id))); CREATE TABLE b (id int CHECK (slowly(id)));
       INSERT INTO a VALUES (0); INSERT INTO b VALUES (0);
       CREATE OR REPLACE FUNCTION slowly(int) RETURNS bool LANGUAGE plpgsql
         AS 'BEGIN PERFORM pg_sleep(60); RETURN true; END'`,
    );
    const at = { ...options, ...optionsOf(server, slow) };
    const chain = chainOf(kind, await dumpOf(at));
    const overwriting = restoreOptions({ isOverwrite: true, jobs: 2 });
    await withConnector(at, async (connector) => {
      const plan = await connector.planRestore(chain, overwriting, { signal: never });
      const ending = assert.rejects(
        connector.restore(chain, plan, overwriting, { signal: never }),
        gone,
      );
      const copying = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY public.%'";
      await becomes(server, copying, "2");
      await whileStopped(server.pid(), () => ending);
    });
    assert.equal(await server.psql(slow, "SELECT count(*) FROM a"), "1");
    const sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'slow%restore%'";
    await server.psql(
      "postgres",
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
    );
    await becomes(server, sessions, "0");
  });
});

needs("postgres15").describe("a PostgreSQL server that starts again", () => {
  test("is waited for by who knows it, and told at once to somebody new", async () => {
    const server = await startPostgres(15);
    await server.psql("postgres", "CREATE TABLE t (id int)");
    const options = { ...optionsOf(server), answerTimeoutMs: 60_000 };
    const connector = await kind.open(options, { runtime: testRuntime(), signal: never });
    await connector.databases({ signal: never });
    await server.stop();
    await withConnector(options, (other) =>
      assert.rejects(
        other.databases({ signal: never }),
        code("connection/unreachable", /ECONNREFUSED/),
      ));
    const waiting = connector.databases({ signal: never });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await server.start();
    assert.deepEqual(await waiting, ["postgres"]);
    // With the session's settings: the inventory counts what a path of its own would hide.
    const { objects } = await connector.inventory("postgres", { signal: never });
    assert.deepEqual(objects.map(({ name }) => name), ["t"]);
    await connector.close();
  });

  test("is given up when it stays away", async () => {
    const server = await startPostgres(15);
    const options = { ...optionsOf(server), answerTimeoutMs: 1_000 };
    const connector = await kind.open(options, { runtime: testRuntime(), signal: never });
    await connector.databases({ signal: never });
    await server.stop();
    await assert.rejects(
      connector.databases({ signal: never }),
      code("connection/unreachable", /ECONNREFUSED/),
    );
    await connector.close();
  });
});

async function assertNoSessions(server: PostgresServer): Promise<void> {
  const query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'";
  await becomes(server, query, "0");
}

async function becomes(server: PostgresServer, query: string, wanted: string): Promise<void> {
  let answer = "";
  for (let tries = 0; tries < 200; tries++) {
    answer = await server.psql("postgres", query);
    if (answer === wanted) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(answer, wanted, query);
}
