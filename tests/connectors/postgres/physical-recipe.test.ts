import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { postgres } from "../../../src/connectors/postgres/mod.ts";
import { collect } from "../../../src/core/bytes.ts";
import { needs } from "../../support/needs.ts";
import { startPostgres } from "../../support/postgres.ts";
import { output } from "../../support/run.ts";
import { never } from "../../support/runtime.ts";
import { giveTo, serverUser } from "../../support/user.ts";
import { tempDir } from "../../support/workspace.ts";
import { takeLink } from "./links.ts";
import { optionsOf } from "./opened.ts";

for (const version of [15, 18] as const) {
  needs(`postgres${version}`).describe(`the recipe of a chain of PostgreSQL ${version}`, () => {
    for (const isToMoment of [false, true]) {
      test(`restores it with the standard tools, ${isToMoment ? "to a moment" : "to its end"}`, async () => {
        const server = await startPostgres(version);
        const name = await server.createDatabase();
        await server.psql(name, "CREATE TABLE lines AS SELECT generate_series(1, 1000) AS id");
        const chain = [await takeLink(optionsOf(server, name))];
        await server.psql(name, "INSERT INTO lines VALUES (-1)");
        chain.push(await takeLink(optionsOf(server, name), chain.at(-1)));
        await server.psql(name, "INSERT INTO lines VALUES (-2)");
        const moment = await server.psql(name, "SELECT clock_timestamp()");
        await server.psql(name, "INSERT INTO lines VALUES (-3)");
        chain.push(await takeLink(optionsOf(server, name), chain.at(-1)));
        await server.stop();

        const folder = tempDir("recipe");
        const recipe = [];
        for (const { manifest, artifacts } of chain) {
          mkdirSync(path.join(folder, manifest.id));
          const parts = [];
          for (const { open, ...artifact } of artifacts) {
            const file = `../${manifest.id}/${artifact.number}.tar`;
            const bytes = await collect(open({ signal: never }), 2 ** 30);
            writeFileSync(path.join(folder, manifest.id, `${artifact.number}.tar`), bytes);
            parts.push({ artifact, rawBytesCommand: `cat ${file}` });
          }
          recipe.push({ manifest, artifacts: parts });
        }
        const cwd = path.join(folder, chain.at(-1)!.manifest.id);
        const user = serverUser();
        await giveTo(user, folder, true);
        let script = postgres.recipe(recipe).flatMap(({ commands }) => commands).join("\n");
        if (isToMoment) {
          // As a person does who reads the remark.
          script = script.replace(
            /^# {3}(echo "recovery_target_time = ')[^']*(.*)\n# {5}(.*)$/m,
            `$1${moment}$2\n$3`,
          );
          assert.match(script, /^echo "recovery_target_time/m);
        }
        // Its own port and folder of the socket, as the remark says.
        script = script.replace("pg_ctl start", `pg_ctl start -o '-p ${server.port} -k ${cwd}'`);
        const env = { ...process.env, PATH: `${server.binDir}:/usr/bin:/bin`, LC_ALL: "C" };
        const as = { env, cwd, uid: user?.uid, gid: user?.gid };
        await output("sh", ["-e", "-c", `${script}\n`], as);
        try {
          const rows = await output("psql", [
            ...["-h", cwd, "-p", String(server.port), "-U", "postgres", "-d", name, "-XAtq"],
            ...["-c", "SELECT id FROM lines WHERE id < 0 ORDER BY id DESC"],
          ], as);
          assert.equal(rows.trim(), isToMoment ? "-1\n-2" : "-1\n-2\n-3");
        } finally {
          await output("pg_ctl", ["stop", "-D", "data", "-m", "fast"], as);
        }
      });
    }
  });
}
