import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertNothingLeft, fails, place, starts, succeeds, until } from "./support/cli.ts";
import { withTools } from "./support/engines.ts";
import { needs } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { stopServer } from "../support/stopped.ts";

needs("postgres15")(
  "a backup whose server is stopped ends by itself, and its job can be run again",
  async () => {
    const server = await startPostgres(15);
    const database = await server.createDatabase("shop");
    await server.psql(database, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id");
    const at = place("silence", { SHOP_URL: server.url(database) });
    const toolsDir = withTools(server.binDir, {
      // Until the server is stopped, which it is once this has begun.
      pg_dump: `touch "$HOME/dumping"; while [ ! -e "$HOME/stopped" ]; do sleep 0.1; done; ` +
        `exec "$REAL" "$@"`,
    });
    const [dumping, isStopped] = ["dumping", "stopped"].map((one) => join(at.env["HOME"]!, one));
    writeFileSync(
      join(at.folder, "backup.config.yaml"),
      `databases:
  shop:
    type: postgres
    url: "\${SHOP_URL}"
    toolsDir: ${toolsDir}
    answerTimeoutMs: 4000
destinations: { disk: { type: local, path: ./backups } }
jobs: { shop: { database: shop, destinations: [disk], stallTimeout: 1h } }
`,
      { mode: 0o600 },
    );
    const { ended } = starts(at, ["backup", "shop"]);
    await until("the dump runs", () => existsSync(dumping!));
    const stopped = stopServer(server.pid());
    try {
      writeFileSync(isStopped!, "");
      const { code, stderr } = await ended;
      assert.equal(code, 4, stderr);
      assert.match(stderr, /connection\/silent/);
      assert.match(stderr, /has not answered for 4 s/);
      assert.match(stderr, /does not answer; it is waited for up to 4 s/);
      assertNothingLeft(join(at.folder, "backups"));
      // The lock is free: the next run gets as far as the server.
      const next = await fails(at, ["backup", "shop"], "connection/unreachable", 4);
      assert.match(next.stderr, /no answer within 10 s/);
    } finally {
      stopped.goOn();
    }
    await succeeds(at, ["backup", "shop"]);
  },
);
