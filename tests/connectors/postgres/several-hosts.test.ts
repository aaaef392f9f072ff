import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveAddress } from "../../../src/connectors/postgres/address.ts";
import { clientOf } from "../../../src/connectors/postgres/client.ts";
import { needs } from "../../support/needs.ts";
import { startPostgres } from "../../support/postgres.ts";
import { never, testRuntime } from "../../support/runtime.ts";
import { whileStopped } from "../../support/stopped.ts";
import { code, optionsOf } from "./opened.ts";

needs("postgres15").describe("a PostgreSQL URL of several hosts", () => {
  test("is as alive as the server that it has led to, whatever the others say", async () => {
    const [first, second] = [await startPostgres(15), await startPostgres(15)];
    const options = optionsOf(second, "postgres");
    const url = new URL(String(options.url));
    const place = `${url.hostname}:${url.port}`;
    const runtime = testRuntime();
    const address = await resolveAddress({
      ...options,
      url: String(options.url).replace(place, `${first.host}:${first.port},${place}`),
      answerTimeoutMs: 3_000,
      connectTimeoutMs: 3_000,
    }, runtime);
    const client = clientOf(address, runtime);
    await first.stop();
    const o = { signal: never };
    const [row] = await client.rows("postgres", "SELECT current_setting('port') AS port", o);
    assert.equal(row!["port"], String(second.port));
    // From here on the first host answers, and answers first.
    await first.start();
    await client.rows("postgres", "SELECT pg_sleep(7)", o);
    await whileStopped(
      second.pid(),
      () => assert.rejects(client.rows("postgres", "SELECT 1", o), code("connection/silent")),
    );
    await client.close();
    await Promise.all([first.stop(), second.stop()]);
  });
});
