import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { accountsFormat } from "../../../src/connectors/postgres/accounts.ts";
import { resolveAddress } from "../../../src/connectors/postgres/address.ts";
import { applyAccounts } from "../../../src/connectors/postgres/apply-accounts.ts";
import { clientOf } from "../../../src/connectors/postgres/client.ts";
import { BackupError } from "../../../src/core/errors.ts";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, startPostgres } from "../../support/postgres.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { giveTo, serverUser } from "../../support/user.ts";
import { tempDir } from "../../support/workspace.ts";
import { withoutSizes } from "../../support/sizes.ts";
import { code, databasesOf, dumpOf, optionsOf, restoreTo, withConnector } from "./opened.ts";

needs("postgres15", "postgres18").describe("accounts of PostgreSQL", () => {
  test("come back with passwords, settings and memberships, and owners with them", async () => {
    const [old, young] = [await startPostgres(15), await startPostgres(18)];
    await old.psql(
      "postgres",
      `CREATE ROLE readers; CREATE ROLE "Odd ""role" LOGIN PASSWORD 'it''s; GRANT' CONNECTION LIMIT 3;
       GRANT readers TO "Odd ""role"; ALTER ROLE readers SET work_mem = '7MB';
       CREATE DATABASE owned OWNER "Odd ""role"`,
    );
    await old.psql(
      "owned",
      `CREATE TABLE t AS SELECT 1 AS n; ALTER TABLE t OWNER TO "Odd ""role";
       GRANT SELECT ON t TO readers`,
    );
    const backup = await dumpOf(optionsOf(old));
    const target = optionsOf(young, "owned");
    const choice = { databases: ["owned"] };
    await assert.rejects(
      restoreTo(target, backup, choice),
      code("restore/missing-owners", /"Odd "role".*"readers"/),
    );
    const { result } = await restoreTo(target, backup, { ...choice, isWithAccounts: true });
    assert.ok(result.warnings.some((warning) => /stay as they are: postgres/.test(warning)));
    assert.equal(
      await young.psql("owned", "SELECT tableowner FROM pg_tables WHERE tablename = 't'"),
      'Odd "role',
    );
    const roles = `SELECT rolname, rolconnlimit, rolconfig, rolpassword,
      ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = a.oid)
      FROM pg_authid a LEFT JOIN (SELECT setrole, setconfig AS rolconfig FROM pg_db_role_setting) s
        ON setrole = oid WHERE rolname IN ('readers', 'Odd "role') ORDER BY 1`;
    assert.equal(await young.psql("postgres", roles), await old.psql("postgres", roles));
    // The superuser that restored keeps its own password.
    const again = await withConnector(
      optionsOf(young),
      (connector) => connector.databases({ signal: never }),
    );
    assert.ok(again.includes("owned"));
    await restoreTo(target, backup, { ...choice, isWithAccounts: true, isOverwrite: true });
    await Promise.all([old.stop(), young.stop()]);
  });

  test("are made all or none, by a restore that can be run again", async () => {
    const [old, young] = [await startPostgres(15), await startPostgres(18)];
    const salt = Buffer.alloc(450, 1).toString("base64");
    const key = Buffer.alloc(32, 2).toString("base64");
    const longest = "ü".repeat(31);
    await old.psql(
      "postgres",
      `CREATE ROLE aaa LOGIN PASSWORD 'x' VALID UNTIL '2099-01-01' CONNECTION LIMIT 2;
       CREATE ROLE "${longest}"; CREATE ROLE "a WITH ""NOLOGIN"" SET x" LOGIN;
       CREATE ROLE "b\\s;'--" LOGIN; COMMENT ON ROLE aaa IS 'c:\\d''s';
       CREATE ROLE "too ""long" LOGIN PASSWORD 'SCRAM-SHA-256$4096:${salt}$${key}:${key}';
       CREATE ROLE giver CREATEROLE; GRANT aaa TO giver WITH ADMIN OPTION;
       SET ROLE giver; GRANT aaa TO "${longest}"; RESET ROLE;
       ALTER ROLE aaa SET work_mem = '5MB';
       -- What a newer server does not know any more.
       UPDATE pg_db_role_setting SET setconfig = setconfig || '{vacuum_defer_cleanup_age=5}'
         WHERE setrole = 'aaa'::regrole; CREATE TABLE t AS SELECT 1 AS n`,
    );
    const backup = await dumpOf(optionsOf(old, "postgres"));
    await young.psql("postgres", "CREATE ROLE giver LOGIN");
    const target = { ...optionsOf(young, "copy"), url: young.url("copy") };
    const names =
      "SELECT string_agg(rolname, ',' ORDER BY rolname) FROM pg_roles WHERE oid > 16383";
    await assert.rejects(
      restoreTo(target, backup, { isWithAccounts: true }),
      (error: unknown) => {
        assert.ok(error instanceof BackupError);
        assert.equal(error.code, "restore/failed");
        assert.match(error.message, /^Cannot restore role "too "long": encrypted password is too/);
        assert.doesNotMatch(error.message, /SCRAM/);
        assert.match(
          error.hint ?? "",
          /CREATE ROLE "too ""long" LOGIN.*\\password.*No role was made/,
        );
        return true;
      },
    );
    assert.equal(await young.psql("postgres", names), "giver");
    assert.ok(!(await databasesOf(young)).includes("copy"));
    await young.psql("postgres", `CREATE ROLE "too ""long" LOGIN`);
    const { result } = await restoreTo(target, backup, { isWithAccounts: true });
    const told = result.warnings.join("\n");
    assert.match(told, /stay as they are: giver, postgres, too "long/);
    assert.match(told, /members of more now: giver in aaa/);
    assert.match(told, /Left out.*ALTER ROLE aaa SET vacuum_defer_cleanup_age/);
    const attributes = `SELECT rolname, rolcanlogin, rolconnlimit, rolvaliduntil, rolpassword,
      shobj_description(oid, 'pg_authid'),
      (SELECT setconfig[1] FROM pg_db_role_setting WHERE setrole = oid) FROM pg_authid
      WHERE oid > 16383 AND rolname NOT IN ('giver', 'too "long') ORDER BY 1`;
    assert.equal(await young.psql("postgres", attributes), await old.psql("postgres", attributes));
    // What was there has kept what it had.
    const giver = "SELECT rolcanlogin, rolcreaterole FROM pg_roles WHERE rolname = 'giver'";
    assert.equal(await young.psql("postgres", giver), "t|f");
    const member = `SELECT pg_has_role('${longest}', 'aaa', 'MEMBER')`;
    assert.equal(await young.psql("postgres", member), "t");
    await Promise.all([old.stop(), young.stop()]);
  });

  test("of a newer server restore into an older one, and what that does not know is told", async () => {
    const [old, young] = [await startPostgres(15), await startPostgres(18)];
    await young.psql(
      "postgres",
      `CREATE ROLE g; CREATE ROLE m; CREATE ROLE n;
       GRANT g TO m WITH ADMIN TRUE, INHERIT FALSE; GRANT g TO n WITH INHERIT TRUE, SET TRUE;
       GRANT pg_maintain TO m`,
    );
    const { artifacts } = await dumpOf(optionsOf(young, "postgres"));
    const { bytes } = artifacts.find(({ head }) => head.role === "accounts")!;
    const runtime = testRuntime();
    const client = clientOf(await resolveAddress(optionsOf(old), runtime), runtime);
    const sql = new TextDecoder().decode(bytes);
    const warnings = await applyAccounts(client, "postgres", 15, sql, { signal: never });
    await client.close();
    const told = warnings.join("\n");
    assert.match(told, /PostgreSQL 15 knows no INHERIT FALSE .*m can do more as a member of g/);
    assert.match(told, /Left out.*GRANT pg_maintain TO m/);
    const members = `SELECT member::regrole, admin_option FROM pg_auth_members
      WHERE roleid = 'g'::regrole ORDER BY 1`;
    assert.equal(await old.psql("postgres", members), "m|t\nn|f");
    await Promise.all([old.stop(), young.stop()]);
  });

  test("come with a role that may make roles and is no superuser, and tablespaces by hand", async () => {
    const [old, young] = [await startPostgres(15), await startPostgres(18)];
    const place = tempDir("space");
    await giveTo(serverUser(), place);
    await old.psql("postgres", `CREATE ROLE app LOGIN PASSWORD 'x'; CREATE ROLE readers`);
    await old.psql("postgres", `CREATE TABLESPACE side OWNER app LOCATION '${place}'`);
    await old.psql("postgres", "GRANT readers TO app; GRANT CREATE ON TABLESPACE side TO readers");
    await old.psql("postgres", "CREATE TABLE t AS SELECT 1 AS n");
    const backup = await dumpOf(optionsOf(old, "postgres"));
    for (const server of [await startPostgres(15), young]) {
      await server.psql("postgres", "CREATE ROLE boss LOGIN PASSWORD 'mine' CREATEROLE CREATEDB");
      const url = server.url("copy", { user: "boss", password: "mine" });
      const target = { ...optionsOf(server), url };
      const { result } = await restoreTo(target, backup, {
        isWithAccounts: true,
        restoreArgs: ["--no-owner"],
      });
      const spaces = result.warnings.filter((one) => /TABLESPACE/.test(one));
      assert.equal(spaces.length, 1, spaces.join("\n"));
      assert.match(spaces[0]!, /^Cannot run CREATE TABLESPACE side .*permission denied/);
      assert.equal(
        await server.psql("postgres", "SELECT pg_has_role('app', 'readers', 'MEMBER')"),
        "t",
      );
      await server.stop();
    }
    await old.stop();
  });

  test("can be left out with the owners", async () => {
    const [old, young] = [await postgres(15), await postgres(18)];
    const owner = freshName();
    const source = await old.createDatabase();
    await old.psql("postgres", `CREATE ROLE ${owner}`);
    await old.psql(
      source,
      `CREATE TABLE t AS SELECT 1 AS n; ALTER TABLE t OWNER TO ${owner};
       ALTER DATABASE ${source} OWNER TO ${owner}; GRANT SELECT ON t TO ${owner};
       ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} GRANT SELECT ON TABLES TO ${owner};
       CREATE POLICY p ON t TO ${owner} USING (true)`,
    );
    const backup = await dumpOf(optionsOf(old, source));
    const target = optionsOf(young, freshName());
    await assert.rejects(restoreTo(target, backup), code("restore/missing-owners"));
    await assert.rejects(
      restoreTo(target, backup, { restoreArgs: ["--no-owner"] }),
      code("restore/missing-owners"),
    );
    await young.psql("postgres", `CREATE ROLE ${owner}`);
    await restoreTo(target, backup);
  });

  test("are a text whose end is seen", async () => {
    const server = await postgres(18);
    const { artifacts } = await dumpOf(optionsOf(server, await server.createDatabase()));
    const { bytes } = artifacts.find(({ head }) => head.role === "accounts")!;
    const walk = (pieces: Uint8Array[]) => {
      const walker = accountsFormat.walk();
      for (const piece of pieces) walker.push(piece);
      return walker.end();
    };
    assert.deepEqual(walk([bytes]), { databases: [] });
    assert.deepEqual(walk([...bytes].map((byte) => Uint8Array.of(byte))), { databases: [] });
    for (const length of [0, 1, 100, bytes.length - 200, bytes.length - 2, bytes.length - 1]) {
      assert.throws(() => walk([bytes.subarray(0, length)]), code("verification/truncated"));
    }
    const other = new TextEncoder().encode(`${"x".repeat(300)}\n`);
    assert.throws(() => walk([other]), code("verification/structure"));
  });
});

needs("postgres15").describe("an ordinary user of PostgreSQL", () => {
  test("backs up his one database, and is told what of the roles is missing", async () => {
    const server = await postgres(15);
    const user = freshName();
    await server.psql("postgres", `CREATE ROLE ${user} LOGIN PASSWORD 'mine' CREATEDB`);
    const database = await server.createDatabase();
    await server.psql("postgres", `ALTER DATABASE ${database} OWNER TO ${user}`);
    const as = (name: string) => ({
      ...optionsOf(server),
      url: server.url(name, { user, password: "mine" }),
    });
    await server.psql(
      database,
      `SET ROLE ${user}; CREATE TABLE t AS SELECT 1 AS n; SELECT lo_from_bytea(0, 'x')`,
    );
    await withConnector(as(database), async (connector) => {
      const info = await connector.inspect({ signal: never });
      assert.deepEqual(info.omissions, []);
      assert.match(info.sourceId ?? "", /^\d+$/);
    });
    const backup = await dumpOf(as(database));
    assert.match(backup.result.warnings.join(), /without their passwords/);
    const copy = freshName();
    await restoreTo(as(copy), backup);
    assert.equal(await server.psql(copy, "SELECT n FROM t"), "1");
    const { plan } = await restoreTo(as(copy), backup, { isOverwrite: true });
    assert.equal(plan.steps[0]!.mode, "swap");
    await server.psql("postgres", `ALTER ROLE ${user} NOCREATEDB`);
    await assert.rejects(
      restoreTo(as(freshName()), backup),
      code("connection/denied", /may not create database/),
    );
  });

  test("is told by name what he may not read, and can accept it", async () => {
    const server = await postgres(15);
    const user = freshName();
    await server.psql("postgres", `CREATE ROLE ${user} LOGIN PASSWORD 'mine'`);
    const database = await server.createDatabase();
    await server.psql(
      database,
      `CREATE TABLE mine AS SELECT 1 n; GRANT SELECT ON mine TO ${user};
       CREATE TABLE "no ""t" AS SELECT 2 n;
       CREATE TABLE rls AS SELECT 3 n; GRANT SELECT ON rls TO ${user};
       ALTER TABLE rls ENABLE ROW LEVEL SECURITY;
       CREATE SCHEMA closed; CREATE TABLE closed.t AS SELECT 4 n; GRANT SELECT ON closed.t TO ${user};
       SELECT lo_from_bytea(0, 'secret')`,
    );
    const options = {
      ...optionsOf(server),
      url: server.url(database, { user, password: "mine" }),
    };
    await withConnector(options, async (connector) => {
      const { omissions, privileges } = await connector.inspect({ signal: never });
      assert.deepEqual(omissions.map(({ name }) => name), ["tables", "large-objects"]);
      assert.deepEqual(omissions[0]!.objects, ["closed.t", 'public.no "t', "public.rls"]);
      assert.equal(
        omissions[0]!.reason,
        `in "${database}" user ${user} may not read closed.t, public.no "t, public.rls`,
      );
      assert.equal(
        omissions[0]!.hint,
        `Run as a superuser: GRANT pg_read_all_data TO ${user}. Run: ALTER ROLE ${user} BYPASSRLS.`,
      );
      assert.match(omissions[1]!.hint!, /GRANT SELECT ON LARGE OBJECT \d+ TO /);
      assert.ok(privileges.some(({ isGranted }) => !isGranted));
    });
    const { result } = await dumpOf(options);
    assert.deepEqual(result.omitted.map(({ name }) => name), ["tables", "large-objects"]);
    assert.deepEqual(withoutSizes(result.inventory.databases)[0]!.objects, [
      { type: "table", schema: "public", name: "mine", count: 1, isExact: true },
    ]);
  });

  test("is told which databases are closed to him, and that passwords are", async () => {
    const server = await startPostgres(15);
    await server.psql(
      "postgres",
      `CREATE ROLE u LOGIN PASSWORD 'mine'; CREATE DATABASE closed; CREATE DATABASE off;
       REVOKE CONNECT ON DATABASE closed FROM PUBLIC; ALTER DATABASE off ALLOW_CONNECTIONS false`,
    );
    const options = {
      toolsDir: server.binDir,
      url: server.url("", { user: "u", password: "mine" }),
    };
    await withConnector(options, async (connector) => {
      const { omissions } = await connector.inspect({ signal: never });
      const names = omissions.map(({ name, objects }) => [name, objects]);
      assert.deepEqual(names, [["databases", ["closed", "off"]], ["role-passwords", undefined]]);
      assert.deepEqual(await connector.databases({ signal: never }), ["postgres"]);
    });
    await server.stop();
  });
});
