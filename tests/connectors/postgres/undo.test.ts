import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Client, Row } from "../../../src/connectors/postgres/client.ts";
import { noteObjects } from "../../../src/connectors/postgres/undo.ts";
import { never } from "../../support/runtime.ts";

/** A server that has one new table after the first look, and refuses to drop it so many times. */
function clientThatRefuses(times: number, refusal: Error): { client: Client; drops: string[] } {
  const drops: string[] = [];
  let looks = 0;
  const rows = (_database: string, text: string): Promise<Row[]> => {
    if (!text.startsWith("DROP")) {
      const made = { type: "table", identity: "public.made", key: "1259 16385" };
      return Promise.resolve(looks++ === 0 ? [] : [made]);
    }
    drops.push(text);
    return drops.length > times ? Promise.resolve([]) : Promise.reject(refusal);
  };
  const unused = () => Promise.reject(new Error("not asked for"));
  return { client: { rows, anyDatabase: unused, release: unused, close: unused }, drops };
}

// As PostgreSQL says it when autovacuum was at the same row of its catalogs.
const refusal = Object.assign(new Error("tuple concurrently updated"), {
  code: "XX000",
  severity: "ERROR",
});

describe("taking away what a failed restore made", () => {
  test("is tried again when another session was in the way", async () => {
    const { client, drops } = clientThatRefuses(2, refusal);
    const undo = await noteObjects(client, "shop", { signal: never });
    await undo({ signal: never });
    assert.equal(drops.length, 3);
  });

  test("ends with the server's words when that does not pass", async () => {
    const { client } = clientThatRefuses(9, refusal);
    const undo = await noteObjects(client, "shop", { signal: never });
    await assert.rejects(undo({ signal: never }), /concurrently/);
  });

  test("is not tried again when the server is gone", async () => {
    const { client, drops } = clientThatRefuses(9, new Error("gone"));
    const undo = await noteObjects(client, "shop", { signal: never });
    await assert.rejects(undo({ signal: never }), /gone/);
    assert.equal(drops.length, 1);
  });
});
