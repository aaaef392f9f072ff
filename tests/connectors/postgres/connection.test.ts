import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import { type Address, resolveAddress } from "../../../src/connectors/postgres/address.ts";
import { postgres as kind } from "../../../src/connectors/postgres/mod.ts";
import { passFileLine, passFileOf } from "../../../src/connectors/postgres/passfile.ts";
import type { PostgresOptions } from "../../../src/connectors/postgres/options.ts";
import { certificates } from "../../support/certificates.ts";
import { deadPort } from "../../support/daemon.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, startPostgres } from "../../support/postgres.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { tempDir } from "../../support/workspace.ts";
import { backUp } from "../sqlite/memoryBackup.ts";
import { code, dumpOf, optionsOf, withConnector } from "./opened.ts";

/** Looks and dumps: the driver and the tool both connect. */
async function works(options: PostgresOptions, env: Record<string, string | undefined> = {}) {
  const runtime = testRuntime({ env: { HOME: tempDir("home"), ...env } });
  await withConnector(options, async (connector) => {
    await connector.inspect({ signal: never });
    await backUp(kind, connector);
  }, runtime);
}

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`connecting to PostgreSQL ${version}`, () => {
    test("works by TCP, by socket folder and by socket file", async () => {
      const server = await postgres(version);
      const database = await server.createDatabase();
      const { port, socketDir, binDir: toolsDir } = server;
      await works(optionsOf(server, database));
      await works({ socket: socketDir, port, user: "postgres", database, toolsDir });
      const socket = path.join(socketDir, `.s.PGSQL.${port}`);
      await works({ socket, user: "postgres", database, toolsDir });
      const inUrl = `postgres://postgres@/${database}?host=${socketDir}`;
      await works({ url: inUrl, port, toolsDir });
      await works({ url: `postgres://postgres@:${port}/${database}`, toolsDir }, {
        PGHOST: socketDir,
      });
    });

    test("takes the password from a PG variable or a password file", async () => {
      const server = await postgres(version);
      const database = await server.createDatabase();
      const { port, binDir: toolsDir, password } = server;
      const url = `postgres://postgres@127.0.0.1:${port}/${database}`;
      await works({ url, toolsDir }, { PGPASSWORD: password });
      await works({ database, toolsDir }, {
        PGHOST: "127.0.0.1",
        PGPORT: String(port),
        PGUSER: "postgres",
        PGPASSWORD: password,
      });
      const home = tempDir("pgpass");
      const file = path.join(home, ".pgpass");
      const wrong = `127.0.0.1:${port}:other:postgres:wrong\n`;
      writeFileSync(file, `# mine\n${wrong}${passFileLine(password)}`, { mode: 0o600 });
      await works({ url, toolsDir }, { HOME: home, PGPASSWORD: "" });
      await works({ url, toolsDir }, { PGPASSFILE: file });
      chmodSync(file, 0o644); // libpq takes no file that others may read
      await assert.rejects(
        works({ url, toolsDir }, { HOME: home }),
        code("connection/authentication"),
      );
    });

    test("keeps hard passwords whole, in the driver and in the tool", async () => {
      const server = await postgres(version);
      const user = freshName();
      const database = await server.createDatabase();
      const passwords = [`# ' " \\ @ % : / ? & = é 🎉`, "\\", "a:b\\:c", " lead and trail ", "%40"];
      for (const password of passwords) {
        await server.psql(
          "postgres",
          `DROP ROLE IF EXISTS ${user};
           CREATE ROLE ${user} LOGIN SUPERUSER PASSWORD '${password.replaceAll("'", "''")}'`,
        );
        await works({
          url: server.url(database, { user }).replace(/:[^:@]+@/, "@"),
          password,
          toolsDir: server.binDir,
        });
        await works({
          url: server.url(database, { user, password }),
          toolsDir: server.binDir,
        });
      }
    });

    test("shows a client certificate in every mode with TLS, and prefers to go without", async () => {
      const folder = tempDir("hba");
      const hba = path.join(folder, "pg_hba.conf");
      const rule = "all all 127.0.0.1/32 scram-sha-256";
      writeFileSync(hba, `local all all trust\nhostssl ${rule} clientcert=verify-ca\n`);
      const { caFile, certFile: sslcert, keyFile: sslkey } = await certificates();
      const settings = { hba_file: hba, ssl_ca_file: caFile };
      const server = await startPostgres(version, { settings });
      const to = (params: Record<string, string>) => ({
        url: server.url("postgres", { params }),
        toolsDir: server.binDir,
      });
      for (const sslmode of ["prefer", "require"]) {
        await works(to({ sslmode, sslcert, sslkey }));
        await assert.rejects(works(to({ sslmode })), code("connection/authentication"), sslmode);
      }
      await server.stop();
      writeFileSync(hba, `local all all trust\nhost ${rule}\n`);
      await server.start({ ssl: "off" });
      await works(to({ sslmode: "prefer", sslcert, sslkey }));
      await assert.rejects(
        works(to({ sslmode: "require", sslcert, sslkey })),
        code("connection/tls"),
      );
      await server.stop();
    });

    test("checks the server's certificate alike in the driver and in the tool", async () => {
      const server = await postgres(version);
      const database = await server.createDatabase();
      const to = (host: string, params: Record<string, string>) => ({
        url: server.url(database, { host, params }),
        toolsDir: server.binDir,
      });
      const { caFile, otherCaFile } = server.tls;
      const sslrootcert = caFile;
      await works(to("127.0.0.1", { sslmode: "disable" }));
      await works(to("127.0.0.1", { sslmode: "prefer" }));
      await works(to("127.0.0.1", { sslmode: "require" }));
      await works(to("127.0.0.1", { sslmode: "verify-ca", sslrootcert }));
      await works(to("localhost", { sslmode: "verify-full", sslrootcert }));
      await works(to("127.0.0.1", { sslmode: "verify-full", sslrootcert }));
      const wrong = [
        to("localhost", { sslmode: "verify-ca", sslrootcert: otherCaFile }),
        to("localhost", { sslmode: "verify-full", sslrootcert: otherCaFile }),
        to("localhost", { sslmode: "require", sslrootcert: otherCaFile }),
        to("localhost", { sslrootcert: otherCaFile }),
        to("127.0.0.2", { sslmode: "verify-full", sslrootcert }),
        to("localhost", { sslmode: "verify-full" }),
        to("localhost", { sslmode: "verify-full", sslrootcert: "/none/such.pem" }),
      ];
      for (const [index, options] of wrong.entries()) {
        // Only the loopback's first address is listened on.
        const isElsewhere = index === 4;
        await assert.rejects(
          works(options),
          code(isElsewhere ? "connection/unreachable" : "connection/tls"),
          options.url,
        );
      }
    });
  });
}

needs("postgres15").describe("a PostgreSQL server that cannot be used", () => {
  const fails = (options: PostgresOptions) =>
    withConnector(options, (connector) => connector.inspect({ signal: never }));

  test("is told apart by what is wrong", async () => {
    const server = await postgres(15);
    const toolsDir = server.binDir;
    const cases: [PostgresOptions["url"] & string, string, RegExp][] = [
      [
        server.url("postgres", { password: "wrong" }),
        "connection/authentication",
        /"postgres" failed/,
      ],
      [server.url("postgres", { user: "nobody" }), "connection/authentication", /"nobody"/],
      [server.url("no such"), "connection/no-database", /"no such"/],
      [`postgres://u@127.0.0.1:${deadPort}/x`, "connection/unreachable", /reach/],
      ["postgres://u@no-such-host.invalid/x", "connection/unreachable", /reach/],
      ["postgres://u@/x?host=/no/such/folder", "connection/unreachable", /reach/],
    ];
    for (const [url, expected, message] of cases) {
      await assert.rejects(fails({ url, toolsDir }), code(expected, message), url);
    }
    const databases = ["postgres", "postgre"];
    await assert.rejects(
      fails({ ...optionsOf(server), databases }),
      code("connection/no-database", /"postgre"/),
    );
  });

  test("never shows a password in its errors", async () => {
    const server = await postgres(15);
    const url = server.url("postgres", { password: "canary-4711" });
    const error = await fails({ url }).catch((error: unknown) => error);
    assert.ok(!`${error}${JSON.stringify(error)}`.includes("canary"));
  });

  test("has tools that are missing, or that go wrong", async () => {
    const server = await postgres(15);
    const database = await server.createDatabase();
    await server.psql(
      database,
      "CREATE TABLE t AS SELECT i, repeat('x', 500) FROM generate_series(1, 3000) i",
    );
    const real = path.join(server.binDir, "pg_dump");
    const empty = tempDir("no-tools");
    await assert.rejects(
      dumpOf(optionsOf(server, database, { toolsDir: empty })),
      code("dump/tool-missing", /pg_dump/),
    );
    const cases: Record<string, [script: string, code: string, message: RegExp]> = {
      "fails halfway": [
        `${real} "$@" | head -c 300000; echo 'pg_dump: error: lost the server' >&2; exit 1`,
        "dump/failed",
        /lost the server/,
      ],
      "is killed": [`${real} "$@" | head -c 300000; kill -KILL $$`, "dump/failed", /SIGKILL/],
      "stops early and says that all is well": [
        `${real} "$@" 2>&- | head -c 300000; exit 0`,
        "verification/truncated",
        /inside TABLE DATA public\.t/,
      ],
      "says nothing": ["exit 0", "verification/truncated", /table of contents/],
      "hangs": [`${real} "$@" | head -c 300000; exec sleep 60`, "dump/stalled", /0\.5 s/],
    };
    for (const [title, [script, expected, message]] of Object.entries(cases)) {
      const toolsDir = tempDir("fake-pg_dump");
      const file = path.join(toolsDir, "pg_dump");
      const head = `[ "$1" = --version ] && exec ${real} --version`;
      writeFileSync(file, `#!/bin/sh\n${head}\n${script}\n`);
      chmodSync(file, 0o755);
      await assert.rejects(
        dumpOf(optionsOf(server, database, { toolsDir }), {
          stallMs: title === "hangs" ? 500 : 30_000,
        }),
        code(expected, message),
        title,
      );
    }
  });

  test("leaves no secret in the tool's arguments or files", async () => {
    const server = await postgres(15);
    const database = await server.createDatabase();
    const toolsDir = tempDir("watched-pg_dump");
    const seen = path.join(toolsDir, "seen");
    const real = path.join(server.binDir, "pg_dump");
    writeFileSync(
      path.join(toolsDir, "pg_dump"),
      `#!/bin/sh\n[ "$1" = --version ] || { echo "$@"; env; } >>${seen}\nexec ${real} "$@"\n`,
      { mode: 0o755 },
    );
    await dumpOf(optionsOf(server, database, { toolsDir }));
    const text = readFileSync(seen, "utf8");
    assert.ok(text.includes("PGUSER=postgres") && text.includes("/dev/fd/3"));
    assert.ok(!text.includes(server.password) && !text.includes("PGPASSWORD"));
    assert.ok(!existsSync(path.join(process.cwd(), "3")));
  });
});

test("a PostgreSQL address is read from a URL, from options and from variables", async () => {
  const read = async (options: PostgresOptions, env: Record<string, string> = {}) => {
    const runtime = { ...testRuntime(), env: { HOME: "/none", ...env } };
    return await resolveAddress(options, runtime);
  };
  const hosts = async (options: PostgresOptions, env?: Record<string, string>) =>
    (await read(options, env)).hosts.map(({ host, port }) => `${host} ${port}`);
  assert.deepEqual(await hosts({ url: "postgres://[::1]:6000/x" }), ["::1 6000"]);
  assert.deepEqual(await hosts({ url: "postgres://a:1,b:2,c/x" }), ["a 1", "b 2", "c 5432"]);
  assert.deepEqual(await hosts({ url: "postgres:///x?host=/run/pg" }), ["/run/pg 5432"]);
  assert.deepEqual(await hosts({ url: "postgres:///x" }, { PGHOST: "h", PGPORT: "7" }), ["h 7"]);
  const address: Address = await read({ url: "postgres://h/" }, { PGDATABASE: "ignored" });
  assert.equal(address.selected, undefined);
  assert.equal((await read({ url: "postgres://h/x", tls: { ca: "c" } })).tls.mode, "verify-full");
  assert.equal(
    (await read({ url: "postgres://h/x" }, { PGSSLMODE: "require" })).tls.mode,
    "require",
  );
  await assert.rejects(read({ url: "postgres://h/x?sslmod=1" }), code("usage/bad-url", /"sslmod"/));
  assert.equal(kind.jobName({ url: "postgres://u@h:5/shop" }), "shop");
  assert.equal(kind.jobName({ url: "postgres://u@h:5" }), "h");
});

test("a line of a password file gives back any password", async () => {
  const file = path.join(tempDir("passfile"), "pgpass");
  const password = fc.string({ unit: "binary", minLength: 1 }).filter((text) =>
    !/[\r\n\0]/.test(text)
  );
  await fc.assert(
    fc.asyncProperty(password, async (text) => {
      writeFileSync(file, passFileLine(text), { mode: 0o600 });
      const found = await passFileOf({ PGPASSFILE: file });
      assert.deepEqual(found?.entries, [["*", "*", "*", "*", text]]);
    }),
    { numRuns: 100 },
  );
});
