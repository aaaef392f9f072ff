import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "node:test";
import { needs } from "../support/needs.ts";
import { run } from "../support/run.ts";
import { tempDir } from "../support/workspace.ts";
import { filesBelow, type Place, place, succeeds } from "./support/cli.ts";
import { engines, freshDatabase } from "./support/engines.ts";
import { makeSqlite, ordersOf } from "./support/sqlite.ts";

const codecs = ["gzip", "zstd", "none"] as const;

/** The one backup of a place, in several volumes, copied to where RESTORE.txt wants to be run. */
async function backUp(at: Place, database: string, codec: string): Promise<string> {
  writeFileSync(
    join(at.folder, "backup.config.yaml"),
    `databases: { shop: ${database} }
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk], compression: ${codec}, volumeSize: 40KiB } }
`,
    { mode: 0o600 },
  );
  await succeeds(at, ["run", "--once"]);
  const backups = join(at.folder, "backups");
  const text = filesBelow(backups).find((file) => file.endsWith("/RESTORE.txt"))!;
  const volumes = filesBelow(backups).filter((file) => /dump-\d+-.*\.v\d+$/.test(file));
  assert.ok(volumes.length >= 2, `several volumes: ${filesBelow(backups).join(", ")}`);
  const copy = join(tempDir("restore-text"), "backup");
  cpSync(join(backups, text, ".."), copy, { recursive: true });
  return copy;
}

/** Runs RESTORE.txt as it is, by `sh`, which stops at the first command that fails. */
async function follow(folder: string, env: Record<string, string | undefined>): Promise<string> {
  const { code, stdout, stderr } = await run("sh", ["-eu", "RESTORE.txt"], { cwd: folder, env });
  const printed = `${readFileSync(join(folder, "RESTORE.txt"), "utf8")}\n${stdout}\n${stderr}`;
  assert.equal(code, 0, printed);
  assert.match(stdout, /: OK$/m, "the digests are checked first");
  return stdout;
}

describe("RESTORE.txt, run by sh as it is written,", () => {
  for (const codec of codecs) {
    needs("sqlite3", "zstd", "gzip")(`restores SQLite from ${codec}`, async () => {
      const at = place(`restore-text-sqlite-${codec}`);
      makeSqlite(join(at.folder, "shop.db"));
      const folder = await backUp(at, "{ type: sqlite, path: shop.db }", codec);
      assert.match(await follow(folder, at.env), /^ok$/m);
      assert.equal(ordersOf(join(folder, "restored.db")), ordersOf(join(at.folder, "shop.db")));
    });

    for (const engine of engines) {
      needs(...engine.needs, "zstd", "gzip")(`restores ${engine.name} from ${codec}`, async () => {
        const server = await engine.server();
        const database = freshDatabase();
        await server.fill(database, 300);
        const before = await server.rows(database);
        const at = place(`restore-text-${engine.type}-${codec}`, {
          SHOP_URL: server.url(database),
        });
        const folder = await backUp(
          at,
          `{ type: ${engine.type}, url: "\${SHOP_URL}", toolsDir: ${server.toolsDir} }`,
          codec,
        );
        await server.drop(database);
        const path = `${server.toolsDir}:${at.env["PATH"]}`;
        await follow(folder, { ...at.env, PATH: path, ...server.prepareShell(at.env["HOME"]!) });
        assert.equal(await server.rows(database), before);
      });
    }
  }
});
