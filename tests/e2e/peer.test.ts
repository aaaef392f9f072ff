import { chmodSync, copyFileSync, writeFileSync } from "node:fs";
import assert from "node:assert/strict";
import { join } from "node:path";
import { startPostgres } from "../support/postgres.ts";
import { needs } from "../support/needs.ts";
import { run } from "../support/run.ts";
import { giveTo, ownName, serverUser } from "../support/user.ts";
import { tempDir } from "../support/workspace.ts";
import { binary, fails, place } from "./support/cli.ts";

needs("postgres15")(
  "PostgreSQL lets a user of the machine in over the socket without a password, and nobody else",
  async () => {
    const user = serverUser();
    const rules = tempDir("peer");
    const [hba, ident] = [join(rules, "pg_hba.conf"), join(rules, "pg_ident.conf")];
    writeFileSync(hba, "local all app peer map=own\nlocal all all trust\n");
    writeFileSync(ident, `own ${user?.name ?? ownName()} app\n`);
    const settings = { hba_file: hba, ident_file: ident };
    const server = await startPostgres(15, { settings });
    await server.psql("postgres", "CREATE ROLE app SUPERUSER LOGIN");
    const database = await server.createDatabase();
    await server.psql(database, "CREATE TABLE t AS SELECT generate_series(1, 9) AS n");

    const at = place("peer");
    const home = join(at.folder, "..");
    await giveTo(user, home, true);
    const program = join(home, "dbbackup"); // where that user can reach it
    copyFileSync(binary, program);
    chmodSync(program, 0o755);
    const env = {
      ...at.env,
      PATH: `${server.binDir}:${at.env["PATH"]}`,
      PGPORT: String(server.port),
    };
    const asUser = async (...args: string[]) => {
      const { uid, gid } = user ?? {};
      const result = await run(program, args, { cwd: at.folder, env, uid, gid });
      assert.equal(result.code, 0, `${args.join(" ")}\n${result.stdout}\n${result.stderr}`);
    };
    const url = (name: string) => `postgres://app@/${name}?host=${server.socketDir}`;
    await asUser("backup", "--from", url(database), "--to", "./backups");
    await asUser("restore", "--from", "./backups", "--to", url(`${database}_back`), "--yes");
    assert.equal(await server.psql(`${database}_back`, "SELECT sum(n) FROM t"), "45");
    if (user !== undefined) {
      const args = ["backup", "--from", url(database), "--to", "./others"];
      await fails(at, args, "connection/authentication", 4, { env });
    }
    await server.stop();
  },
);
