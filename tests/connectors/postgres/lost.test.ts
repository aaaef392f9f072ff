import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { connect, createServer, type Socket } from "node:net";
import process from "node:process";
import { test } from "node:test";
import { postgres as kind } from "../../../src/connectors/postgres/mod.ts";
import { BackupError } from "../../../src/core/errors.ts";
import type { Bytes } from "../../../src/core/bytes.ts";
import { needs } from "../../support/needs.ts";
import {
  type PostgresServer,
  type PostgresVersion,
  startPostgres,
} from "../../support/postgres.ts";
import { never } from "../../support/runtime.ts";
import { stopServer } from "../../support/stopped.ts";
import { giveTo, serverUser } from "../../support/user.ts";
import { tempDir } from "../../support/workspace.ts";
import { chainOf, type MemoryBackup, restoreOptions } from "../sqlite/memoryBackup.ts";
import { databasesOf, dumpOf, optionsOf, restoreTo, withConnector } from "./opened.ts";

const rowCount = 30_000;
const limits = { answerTimeoutMs: 3_000, connectTimeoutMs: 3_000 };

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`a restore to PostgreSQL ${version}`, () => {
    test("whose server is stopped names what is left, and the next one drops that", async () => {
      const { server, options, backup } = await shop(version);
      const stopped: { goOn(): void }[] = [];
      const error = await restoreUntil(options, backup, {}, () => {
        stopped.push(stopServer(server.pid()));
      });
      stopped.forEach(({ goOn }) => goOn());
      assert.equal(error.code, "connection/silent");
      const left = (await databasesOf(server)).filter((name) => /_restore_/.test(name));
      assert.deepEqual(left, ["shop_restore_k3v9x2ma"]);
      assert.match(error.hint ?? "", /may still be there as "shop_restore_k3v9x2ma".*next restore/);
      await assertShop(server);
      await noToolSessions(server);
      await restoreTo(options, backup, { isOverwrite: true });
      const names = (await databasesOf(server)).filter((name) => /^shop/.test(name)).sort();
      assert.equal(names.length, 2, names.join());
      assert.match(names[1]!, /^shop_before_/);
      await server.stop();
    });

    test("whose server is killed says so, and can be run again", async () => {
      const { server, options, backup } = await shop(version);
      let ended: Promise<void> | undefined;
      const error = await restoreUntil(options, backup, {}, () => {
        ended ??= server.stop("SIGKILL");
      });
      await ended;
      assert.match(error.code, /^(restore\/failed|connection\/unreachable)$/);
      assert.match(error.message, /clos|ended|terminat|ECONN/i);
      assert.match(error.hint ?? "", /may still be there as "shop_restore_k3v9x2ma"/);
      await startAgain(server);
      await assertShop(server);
      await restoreTo(options, backup, { isOverwrite: true });
      await assertShop(server);
      const names = (await databasesOf(server)).filter((name) => /_restore_/.test(name));
      assert.deepEqual(names, []);
      await server.stop();
    });

    test("whose session is killed leaves nothing, with --keep-going, too", async () => {
      const { server, options, backup } = await shop(version);
      for (const isKeepGoing of [false, true]) {
        const patient = { ...options, answerTimeoutMs: 60_000 };
        const error = await restoreUntil(
          patient,
          backup,
          { isKeepGoing },
          () => killBackend(server),
        );
        assert.equal(error.code, "restore/failed");
        assert.match(error.message, /closed the connection|terminating|SYSCALL|PQputCopy/);
        assert.match(error.hint ?? "", /The server ended the connection: look into its log/);
        const names = (await databasesOf(server)).filter((name) => /_restore_/.test(name));
        assert.deepEqual(names, []);
        await assertShop(server);
      }
      await server.stop();
    });

    test("onto a full disk says so, and leaves nothing", async (t) => {
      const place = tempDir("full");
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=17m", "tmpfs", place], { stdio: "pipe" });
      } catch {
        return t.skip("only root can make a small disk");
      }
      try {
        const { server, options, backup } = await shop(version);
        await giveTo(serverUser(), place);
        await server.psql("postgres", `CREATE TABLESPACE small LOCATION '${place}'`);
        await server.psql("postgres", "ALTER DATABASE template0 SET TABLESPACE small");
        await assert.rejects(
          restoreTo(options, backup, { isOverwrite: true }),
          (error: unknown) => {
            assert.ok(error instanceof BackupError);
            assert.equal(error.code, "restore/failed");
            assert.match(error.message, /No space left on device/);
            assert.match(error.hint ?? "", /[Ff]ree space on/);
            return true;
          },
        );
        assert.ok(!(await databasesOf(server)).some((name) => /_restore_/.test(name)));
        await assertShop(server);
        await server.stop();
      } finally {
        execFileSync("umount", ["-l", place]);
      }
    });

    test("whose connection is lost at the renaming knows whether it was done", async () => {
      const { server, options, backup } = await shop(version);
      for (const isForwarded of [true, false]) {
        const proxy = await losing("RENAME TO", server.port, isForwarded);
        const url = new URL(server.url("shop"));
        url.port = String(proxy.port);
        url.searchParams.set("sslmode", "disable");
        const run = restoreTo({ ...options, url: url.href }, backup, { isOverwrite: true });
        if (isForwarded) await run;
        else {
          await assert.rejects(run, (error: unknown) => {
            assert.ok(error instanceof BackupError);
            assert.equal(error.code, "connection/unreachable");
            assert.match(error.hint ?? "", /is whole, as "shop_restore_.*--accept-differences/);
            return true;
          });
          const { plan } = await restoreTo(options, backup, {
            isOverwrite: true,
            isDifferenceAccepted: true,
          });
          assert.match(plan.steps[0]!.adopts ?? "", /^shop_restore_/);
        }
        assert.ok(proxy.hasLost());
        proxy.close();
        await assertShop(server);
        assert.ok(!(await databasesOf(server)).some((name) => /_restore_/.test(name)));
        await server.psql(
          "postgres",
          `SELECT format('DROP DATABASE %I', datname) FROM pg_database
             WHERE datname LIKE 'shop\\_before%' \\gexec`,
        );
      }
      await server.stop();
    });
  });
}

async function shop(version: PostgresVersion) {
  const server = await startPostgres(version);
  await server.createDatabase("shop");
  await server.psql(
    "shop",
    `CREATE TABLE t AS SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 8) j) FROM generate_series(1, ${rowCount}) i`,
  );
  const options = { ...optionsOf(server, "shop"), ...limits };
  return { server, options, backup: await dumpOf(options) };
}

async function assertShop(server: PostgresServer): Promise<void> {
  assert.equal(await server.psql("shop", "SELECT count(*) FROM t"), String(rowCount));
}

/** Restores, does something in the middle of the rows, and returns what the restore failed with. */
async function restoreUntil(
  options: ReturnType<typeof optionsOf>,
  backup: MemoryBackup,
  changed: Parameters<typeof restoreOptions>[0],
  act: () => unknown,
): Promise<BackupError> {
  let opened = 0;
  let hasActed = false;
  async function* open(bytes: Uint8Array): Bytes {
    const isForTool = ++opened === 3; // the first two read the head
    for (let at = 0; at < bytes.length; at += 1 << 16) {
      yield bytes.slice(at, at + (1 << 16));
      if (!isForTool || hasActed || at < bytes.length / 2) continue;
      hasActed = true;
      await act();
    }
  }
  const overwriting = restoreOptions({ isOverwrite: true, ...changed });
  const chain = chainOf(kind, backup, { open });
  return await withConnector(options, async (connector) => {
    const plan = await connector.planRestore(chain, overwriting, { signal: never });
    const failure = await connector.restore(chain, plan, overwriting, { signal: never }).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(hasActed);
    assert.ok(failure instanceof BackupError, String(failure));
    return failure;
  });
}

/** Kills the process of the server that pg_restore talks to, as a lack of memory would. */
async function killBackend(server: PostgresServer): Promise<void> {
  const query = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY %' AND state = 'active'";
  for (let tries = 0; tries < 200; tries++) {
    const pid = Number(await server.psql("postgres", query));
    if (pid > 0) return void process.kill(pid, "SIGKILL");
  }
  assert.fail("pg_restore has no session");
}

async function startAgain(server: PostgresServer): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      return await server.start();
    } catch (error) {
      // Processes of the killed server may still be there.
      if (tries === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

async function noToolSessions(server: PostgresServer): Promise<void> {
  const query =
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY %' AND state = 'active'";
  for (let tries = 0; tries < 100; tries++) {
    if (await server.psql("postgres", query) === "0") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail("pg_restore is still there");
}

/** A way to a server that loses, once, the connection on which a text is sent. */
async function losing(text: string, target: number, isForwarded: boolean) {
  let hasLost = false;
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    let isEnding = false;
    for (const one of [near, far]) sockets.add(one.on("error", () => {}));
    near.on("data", (data) => {
      if (!hasLost && data.includes(text)) {
        hasLost = isEnding = true;
        if (!isForwarded) return void (near.destroy(), far.destroy());
      }
      far.write(data);
    });
    far.on("data", (data) => {
      // The answer says that it was done; nobody hears it.
      if (isEnding) near.destroy();
      else near.write(data);
    });
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = proxy.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    port: address.port,
    hasLost: () => hasLost,
    close() {
      proxy.close();
      sockets.forEach((one) => one.destroy());
    },
  };
}
