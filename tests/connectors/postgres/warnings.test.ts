import assert from "node:assert/strict";
import { test } from "node:test";
import { freshName } from "../../support/freshName.ts";
import { needs } from "../../support/needs.ts";
import { postgres, type PostgresServer } from "../../support/postgres.ts";
import { never } from "../../support/runtime.ts";
import { dumpOf, optionsOf, withConnector } from "./opened.ts";

async function made(server: PostgresServer, sql: string): Promise<string> {
  const name = await server.createDatabase();
  await server.psql(name, sql);
  return name;
}

function warningsOf(server: PostgresServer, database: string): Promise<readonly string[]> {
  return withConnector(
    optionsOf(server, database),
    async (connector) => (await connector.inspect({ signal: never })).warnings,
  );
}

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`before a backup of PostgreSQL ${version}`, () => {
    test("rows of an extension's tables that no dump holds are told, and no others", async () => {
      const server = await postgres(version);
      const database = await made(
        server,
        `CREATE EXTENSION citext;
         CREATE TABLE "Settings" (id int); CREATE TABLE kept (id int); CREATE TABLE whole (id int);
         INSERT INTO "Settings" VALUES (1); INSERT INTO kept VALUES (1);
         ALTER EXTENSION citext ADD TABLE "Settings"; ALTER EXTENSION citext ADD TABLE kept;
         ALTER EXTENSION citext ADD TABLE whole;
         UPDATE pg_extension SET extcondition = ARRAY['WHERE id > 100', ''],
           extconfig = ARRAY['kept'::regclass, 'whole'::regclass]::oid[] WHERE extname = 'citext'`,
      );
      // What it wrote itself, and what a dump holds.
      await server.psql(database, "INSERT INTO kept VALUES (101); INSERT INTO whole VALUES (1)");
      assert.deepEqual(await warningsOf(server, database), []);
      await server.psql(database, `VACUUM FREEZE "Settings"; INSERT INTO "Settings" VALUES (2)`);
      const [warning, ...others] = await warningsOf(server, database);
      assert.match(
        warning!,
        /rows of public\."Settings" came or changed since the extension citext was made, .* no dump holds them/,
      );
      assert.deepEqual(others, []);
      await server.psql(database, "UPDATE kept SET id = 2 WHERE id = 1");
      assert.match(
        (await warningsOf(server, database)).join("\n"),
        /rows of public\.kept, public\."Settings" came|rows of public\."Settings", public\.kept came/,
      );
    });

    test("what belongs or is granted to a role that is gone is told", async () => {
      const server = await postgres(version);
      const [owner, reader] = [freshName(), freshName()];
      await server.psql("postgres", `CREATE ROLE ${owner}; CREATE ROLE ${reader}`);
      const database = await made(
        server,
        `CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO ${owner};
         CREATE TABLE granted (id int); GRANT SELECT ON granted TO ${reader};
         CREATE POLICY seen ON granted TO ${reader}`,
      );
      assert.deepEqual(await warningsOf(server, database), []);
      const oids = (await server.psql(
        "postgres",
        `SET allow_system_table_mods = on;
         DELETE FROM pg_authid WHERE rolname IN ('${owner}', '${reader}') RETURNING oid`,
      )).split("\n").sort();
      const warnings = (await warningsOf(server, database)).join("\n");
      for (const oid of oids) assert.match(warnings, new RegExp(`role with OID ${oid} is gone`));
      assert.match(
        warnings,
        /It owns table public\.owned, where pg_dump gives up: ALTER … OWNER TO/,
      );
      assert.match(
        warnings,
        /privileges on table public\.granted, .* CREATE ROLE "\d+" before a restore.* policy seen on table public\.granted is for it/,
      );
      await assert.rejects(dumpOf(optionsOf(server, database)), (error) => {
        assert.match(String(error), /role with OID \d+ does not exist/);
        assert.match(String((error as { hint?: string }).hint), /ALTER … OWNER TO/);
        return true;
      });
      // It is in the way of every dump of the whole server.
      await server.psql("postgres", `DROP DATABASE ${database}`);
    });
  });
}
