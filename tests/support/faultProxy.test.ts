import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer } from "node:http";
import { request } from "node:http";
import { describe, test } from "node:test";
import { type Fault, type FaultProxy, faultProxy } from "./faultProxy.ts";

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Sends a request without any retry or pool. */
function send(
  proxy: FaultProxy,
  o: { method?: string; path?: string; body?: string; timeoutMs?: number } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sending = request(proxy.url + (o.path ?? "/"), {
      method: o.method ?? "PUT",
      agent: false,
      signal: AbortSignal.timeout(o.timeoutMs ?? 10_000),
    }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("aborted", () => reject(new Error("aborted")));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }));
    });
    sending.on("error", reject);
    sending.end(o.body ?? "");
  });
}

/** A store that answers with what it got, and a proxy in front of it. */
async function setup(): Promise<{ proxy: FaultProxy; got: string[]; close(): Promise<void> }> {
  const got: string[] = [];
  const store = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      got.push(body);
      outgoing.writeHead(200, { "X-Checksum": String(body.length) });
      outgoing.end(`got ${body}`);
    });
  });
  await new Promise<void>((resolve) => store.listen(0, "127.0.0.1", resolve));
  const address = store.address();
  const proxy = await faultProxy(typeof address === "object" ? address!.port : 0);
  return {
    proxy,
    got,
    async close() {
      await proxy.close();
      store.closeAllConnections();
      await new Promise((resolve) => store.close(resolve));
    },
  };
}

function check(title: string, use: (o: { proxy: FaultProxy; got: string[] }) => Promise<void>) {
  test(title, async () => {
    const o = await setup();
    try {
      await use(o);
    } finally {
      await o.close();
    }
  });
}

const large = "x".repeat(1_000_000);

describe("the fault proxy", () => {
  check("passes what no rule is for", async ({ proxy, got }) => {
    proxy.fail({ path: "/other", fault: { kind: "refuse" } });
    const { status, body } = await send(proxy, { body: large });
    assert.equal(status, 200);
    assert.equal(body, `got ${large}`);
    assert.deepEqual(got, [large]);
    assert.equal(proxy.struck, 0);
    assert.equal(proxy.requests[0]!.method, "PUT");
  });

  check("strikes the nth match, as many times as told", async ({ proxy }) => {
    const answer = { status: 503, headers: { "Retry-After": "1" }, body: "slow down" };
    proxy.fail({ method: "PUT", nth: 2, times: 2, fault: { kind: "answer", answer } });
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await send(proxy, { body: "abc" })).status);
    assert.deepEqual(statuses, [200, 503, 503, 200]);
    assert.equal(proxy.struck, 2);
  });

  const breaking: [Fault, string[]][] = [
    [{ kind: "refuse" }, []],
    [{ kind: "cut-request", afterBytes: 500_000 }, []],
    [{ kind: "cut-answer", afterBytes: 3 }, [large]],
    [{ kind: "lose-answer" }, [large]],
  ];
  for (const [fault, wanted] of breaking) {
    check(`breaks the connection: ${fault.kind}`, async ({ proxy, got }) => {
      proxy.fail({ fault });
      await assert.rejects(send(proxy, { body: large }));
      assert.deepEqual(got, wanted);
      assert.equal((await send(proxy, { body: "next" })).body, "got next");
    });
  }

  for (const kind of ["stall-request", "stall-answer"] as const) {
    check(`holds on until the client gives up: ${kind}`, async ({ proxy }) => {
      proxy.fail({ fault: { kind, afterBytes: 3 } });
      await assert.rejects(send(proxy, { body: large, timeoutMs: 100 }));
      assert.equal((await send(proxy, { body: "next" })).body, "got next");
    });
  }

  check("slows down", async ({ proxy }) => {
    proxy.fail({ fault: { kind: "slow", bytesPerSecond: 100_000 } });
    const before = performance.now();
    assert.equal((await send(proxy, { body: "y".repeat(20_000) })).status, 200);
    assert.ok(performance.now() - before > 200);
  });

  check("lies in the store's name", async ({ proxy, got }) => {
    proxy.fail(
      {
        path: "/lie",
        fault: {
          kind: "alter-answer",
          alter: (answer) => ({ ...answer, headers: { ...answer.headers, "x-checksum": "0" } }),
        },
      },
      { path: "/flip", fault: { kind: "flip-request", offset: 1 } },
    );
    const { headers, body } = await send(proxy, { path: "/lie", body: "abc" });
    assert.equal(headers["x-checksum"], "0");
    assert.equal(body, "got abc");
    await send(proxy, { path: "/flip", body: "aaa" });
    assert.deepEqual(got, ["abc", "a`a"]);
  });

  check("puts the store's clock wrong", async ({ proxy }) => {
    proxy.skewMs = -3_600_000;
    const { headers } = await send(proxy);
    assert.ok(Math.abs(Date.parse(String(headers["date"])) - (Date.now() - 3_600_000)) < 5_000);
  });
});
