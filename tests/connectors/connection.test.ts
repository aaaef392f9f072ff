import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  connectionLabel,
  parseServerUrl,
  resolveConnection,
} from "../../src/connectors/connection.ts";
import { safeUrl } from "../../src/core/url.ts";
import { BackupError } from "../../src/core/errors.ts";
import { env, known } from "../../src/core/secret.ts";
import { testRuntime } from "../support/runtime.ts";

const schemes = ["postgres", "postgresql"];
const parse = (url: string) => parseServerUrl(url, schemes);

/** What can be percent-encoded: any text but lone surrogates. */
const anyText = fc.string({ unit: "binary", minLength: 1, maxLength: 30 })
  .filter((text) => text.isWellFormed());
const hosts = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6().map((address) => `[${address}]`));
const ports = fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined });
/** As people type them: nothing encoded but what would end the part. */
const typed = fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 20 })
  .filter((text) => !/[/?%]/.test(text));

describe("server URLs", () => {
  test("give back every user, password, host, port and database that was encoded", () => {
    fc.assert(fc.property(
      fc.record({ user: anyText, password: anyText, host: hosts, port: ports, database: anyText }),
      ({ user, password, host, port, database }) => {
        const [u, p, d] = [user, password, database].map(encodeURIComponent);
        const url = `postgres://${u}:${p}@${host}${port === undefined ? "" : `:${port}`}/${d}`;
        const expected = { user, password, host: host.replace(/^\[|\]$/g, ""), port, database };
        const { user: gotUser, password: got, host: gotHost, port: gotPort, database: db } = parse(
          url,
        );
        assert.deepEqual(
          { user: gotUser, password: got, host: gotHost, port: gotPort, database: db },
          expected,
        );
      },
    ));
  });

  test("take passwords as people type them, with raw @, #, : and spaces", () => {
    fc.assert(fc.property(typed, hosts, (password, host) => {
      const { user, password: got, host: gotHost } = parse(
        `postgres://app:${password}@${host}/shop`,
      );
      assert.deepEqual([user, got, gotHost], ["app", password, host.replace(/^\[|\]$/g, "")]);
    }));
  });

  test("leave a % that encodes nothing as it is", () => {
    assert.equal(parse("postgres://u:100%@h").password, "100%");
    assert.equal(parse("postgres://u:50%25@h").password, "50%");
  });

  const cases: Record<string, [url: string, expected: object]> = {
    "a host alone": ["postgres://h", { host: "h", port: undefined, user: undefined }],
    "no host, for a socket": ["postgres:///shop", { host: undefined, database: "shop" }],
    "a folder of sockets": ["postgres:///shop?host=/run/pg", {
      socket: "/run/pg",
      host: undefined,
    }],
    "a host among the parameters": ["postgres:///shop?host=db", { host: "db", socket: undefined }],
    "a socket": ["postgres://u@localhost/s?socket=/tmp/s", { socket: "/tmp/s", user: "u" }],
    "several hosts, as written": ["postgres://a:1,b:2/s", { host: "a:1,b:2", port: undefined }],
    "an IPv6 address": ["postgres://[::1]:5432/s", { host: "::1", port: 5432 }],
    "TLS": ["postgres://h/s?sslmode=verify-full&sslrootcert=/ca.pem", {
      tls: { mode: "verify-full", ca: "/ca.pem" },
    }],
    "libpq's allow as prefer": ["postgres://h/s?sslmode=ALLOW", { tls: { mode: "prefer" } }],
    "a timeout in seconds": ["postgres://h/s?connect_timeout=3", { connectTimeoutMs: 3000 }],
    "other parameters": ["postgres://h/s?a=b%20c&host=/x", { parameters: { a: "b c" } }],
    "any case of the scheme": ["PostgreSQL://h", { scheme: "postgresql" }],
    "an empty database as none": ["postgres://h/", { database: undefined }],
    "an @ in a database's name": ["postgres://u:p@h/a%40b", { database: "a@b", host: "h" }],
    "an @ in a parameter": ["postgres://h/s?owner=a@b", {
      host: "h",
      parameters: { owner: "a@b" },
    }],
  };
  for (const [what, [url, expected]] of Object.entries(cases)) {
    test(`understand ${what}`, () => {
      const parsed: Record<string, unknown> = { ...parse(url) };
      const found = Object.fromEntries(Object.keys(expected).map((key) => [key, parsed[key]]));
      assert.deepEqual(found, expected);
    });
  }

  test("that cannot be read never show the password in the error", () => {
    const secrets = fc.tuple(typed, typed).map(([a, b]) => `${a}CANARY${b}`);
    const broken: ((password: string) => string)[] = [
      (password) => `mysql://app:${password}@h/shop`,
      (password) => `postgres:/app:${password}@h/shop`,
      (password) => `app:${password}@h/shop`,
      (password) => `postgres://app:${password}@h:port/shop`,
      (password) => `postgres://app:${password}@h:99999/shop`,
      (password) => `postgres://app:${password}/more@h/shop`,
      (password) => `postgres://app:12/${password}@h/shop`,
      (password) => `postgres://app:12?${password.replaceAll(/[=&]/g, "")}@h/shop`,
      (password) => `postgres://app:x${password.replaceAll("@", "")}`,
    ];
    fc.assert(fc.property(secrets, fc.constantFrom(...broken), (password, write) => {
      assert.throws(() => parse(write(password)), (error) => {
        assert.ok(error instanceof BackupError && error.code === "usage/bad-url");
        assert.ok(!JSON.stringify([error.message, error.hint]).includes("CANARY"), error.message);
        return true;
      });
    }));
  });

  test("are shown without passwords and other secrets", () => {
    assert.equal(safeUrl("postgres://u:p:q@h:1/d"), "postgres://u:[redacted]@h:1/d");
    assert.equal(safeUrl("postgres://u@h:1/d"), "postgres://u@h:1/d");
    assert.equal(safeUrl("mongodb://a:1,b:2/d"), "mongodb://a:1,b:2/d");
    assert.equal(safeUrl("postgres://[::1]:5432/d"), "postgres://[::1]:5432/d");
    assert.equal(
      safeUrl("s3://b/p?region=x&secretAccessKey=y"),
      "s3://b/p?region=x&secretAccessKey=[redacted]",
    );
    assert.equal(safeUrl("./backups"), "./backups");
    assert.equal(safeUrl("sqlite:./a.db"), "sqlite:./a.db");
  });

  test("with a wrong sslmode name it and the right ones", () => {
    assert.throws(
      () => parse("postgres://h/?sslmode=very"),
      (error: BackupError) =>
        error.code === "usage/bad-url" && error.message.includes('"very"') &&
        error.hint!.includes("verify-full"),
    );
  });
});

describe("a connection", () => {
  test("takes parts over the URL's, and resolves each reference", async () => {
    const runtime = testRuntime({ env: { THE_URL: "postgres://a:secret-1@h:1/d", DB: "shop" } });
    const connection = await resolveConnection(
      { url: env("THE_URL"), user: "b", password: known("secret-2"), database: env("DB"), port: 2 },
      schemes,
      runtime,
    );
    const { scheme, host, port, user, password, database, connectTimeoutMs } = connection;
    assert.deepEqual([scheme, host, port, user, password, database, connectTimeoutMs], [
      ...["postgres", "h", 2, "b", "secret-2", "shop", 10_000],
    ]);
    assert.equal(runtime.secrets.redact("secret-1 secret-2 shop"), "[redacted] [redacted] shop");
  });

  test("goes on naming a URL by reference that holds no secret", async () => {
    const show = async (url: string) => {
      const runtime = testRuntime({ env: { THE_URL: url } });
      await resolveConnection({ url: env("THE_URL") }, schemes, runtime);
      return runtime.secrets.redact(`at ${url}`);
    };
    assert.equal(await show("postgres://app@h/shop"), "at postgres://app@h/shop");
    assert.equal(await show("postgres://app@h/shop?x=1"), "at postgres://app@h/shop?x=1");
    assert.equal(await show("postgres://app:secret@h/shop"), "at [redacted]");
    assert.equal(await show("postgres://h/shop?sslpassword=secret"), "at [redacted]");
  });

  test("prefers a socket to the URL's host, and a host of its own to both", async () => {
    const resolve = (options: object) =>
      resolveConnection({ url: "postgres://h/d", ...options }, schemes, testRuntime());
    assert.deepEqual((await resolve({ socket: "/s" })).host, undefined);
    assert.deepEqual((await resolve({ socket: "/s", host: "x" })).host, "x");
    assert.deepEqual((await resolve({})).tls, {});
  });

  test("is shown without its password, whatever that is", async () => {
    await fc.assert(fc.asyncProperty(anyText, async (text) => {
      const password = `${text}CANARY`;
      const connection = await resolveConnection(
        { host: "h", port: 5, user: "u", database: "d", password: known(password) },
        schemes,
        testRuntime(),
      );
      assert.equal(connectionLabel(connection), "postgres://u@h:5/d");
    }));
  });

  test("is shown with its socket, or localhost", async () => {
    const label = async (options: object) =>
      connectionLabel(await resolveConnection(options, schemes, testRuntime()));
    assert.equal(await label({ socket: "/run/pg", user: "u" }), "postgres://u@/run/pg");
    assert.equal(await label({}), "postgres://localhost");
  });
});
