import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { createSecrets, env, file, known } from "../../src/core/secret.ts";
import { errorJson, errorText } from "../../src/cli/errors.ts";
import { BackupError, type ErrorCode, hasCode } from "../../src/core/errors.ts";
import { Secret } from "../../src/core/secret.ts";
import { tempDir } from "../support/workspace.ts";

/** Passwords as people have them; very short ones are left out, as redaction does. */
const passwords = fc.string({ unit: "grapheme", minLength: 4, maxLength: 40 })
  // What the replacement itself spells cannot be told from it.
  .filter((text) => !"[redacted]".includes(text) && text.trim().length >= 4);

describe("a secret", () => {
  test("prints as [redacted] however it is printed", () => {
    for (const secret of [known("canary"), env("X", "canary"), file("/run/canary")]) {
      assert.equal(String(secret), "[redacted]");
      assert.equal(JSON.stringify({ secret }), '{"secret":"[redacted]"}');
      assert.doesNotMatch(inspect(secret, { depth: 9, showHidden: true }), /canary/);
    }
  });

  test("is gone from any text, plain, URL-encoded or in JSON, once it was resolved", async () => {
    await fc.assert(fc.asyncProperty(
      passwords,
      fc.string({ unit: "grapheme" }),
      fc.string({ unit: "grapheme" }),
      async (password, before, after) => {
        const secrets = createSecrets({ PASSWORD: password });
        assert.equal(await secrets.resolve(env("PASSWORD")), password);
        for (
          const form of [password, encodeURIComponent(password), JSON.stringify({ password })]
        ) {
          const redacted = secrets.redact(`${before}${form}${after}`);
          const rest = redacted.replaceAll("[redacted]", "");
          if (before === "" && after === "") assert.ok(!rest.includes(password), redacted);
          assert.ok(redacted.includes("[redacted]"), redacted);
        }
      },
    ));
  });

  test("is gone when it is a part of a URL that was resolved as a whole", async () => {
    await fc.assert(fc.asyncProperty(passwords, async (password) => {
      const secrets = createSecrets({});
      secrets.hide(password);
      const url = `postgres://app:${encodeURIComponent(password)}@db/shop`;
      assert.equal(secrets.redact(url), "postgres://app:[redacted]@db/shop");
    }));
  });

  test("longer ones go first, so that none leaves its end behind", () => {
    const secrets = createSecrets({});
    secrets.hide("pass");
    secrets.hide("password-of-shop");
    assert.equal(secrets.redact("<password-of-shop>"), "<[redacted]>");
  });

  test("is gone from errors, their hints and their details", () => {
    fc.assert(fc.property(passwords, (password) => {
      const secrets = createSecrets({});
      secrets.hide(password);
      const error = new BackupError("dump/failed", `said: ${password}`, {
        hint: `try ${password}`,
        details: { deep: [{ text: password }] },
      });
      const json = errorJson(error, secrets);
      assert.equal(json.message, "said: [redacted]");
      assert.equal(json.hint, "try [redacted]");
      assert.deepEqual(json.details, { deep: [{ text: "[redacted]" }] });
      assert.ok(errorText(error, secrets, false).includes("said: [redacted]"));
    }));
  });

  test("is none when it is public: a host, a path", async () => {
    const secrets = createSecrets({ DB_HOST: "db.internal" });
    assert.equal(await secrets.resolve(env("DB_HOST"), { isPublic: true }), "db.internal");
    assert.equal(secrets.redact("no route to db.internal"), "no route to db.internal");
  });
});

describe("a reference", () => {
  const secrets = createSecrets({ SET: "from-env", EMPTY: "" });
  const fails = (code: ErrorCode, name: string) => (error: unknown) =>
    hasCode(error, code) && error.message.includes(name) && error.hint !== undefined;

  test("to a variable is its value, or the default when it is unset or empty", async () => {
    assert.equal(await secrets.resolve(env("SET")), "from-env");
    assert.equal(await secrets.resolve(env("SET", "other")), "from-env");
    assert.equal(await secrets.resolve(env("UNSET", "default")), "default");
    assert.equal(await secrets.resolve(env("EMPTY", "default")), "default");
    await assert.rejects(secrets.resolve(env("UNSET")), fails("config/env-missing", "UNSET"));
    await assert.rejects(secrets.resolve(env("EMPTY")), fails("config/env-empty", "EMPTY"));
  });

  test("to a file is its content but for one line break at the end", async () => {
    const name = path.join(tempDir(), "secret");
    for (
      const [content, value] of [["a\n", "a"], ["a\r\n", "a"], ["a\n\n", "a\n"], [" a ", " a "]]
    ) {
      writeFileSync(name, content!);
      assert.equal(await secrets.resolve(file(name)), value);
    }
    const missing = path.join(tempDir(), "missing");
    await assert.rejects(secrets.resolve(file(missing)), fails("config/secret-file", missing));
  });

  test("inside a text becomes part of it, and both are secret", async () => {
    const own = createSecrets({ PASSWORD: "canary" });
    const mixed = new Secret([{ text: "db://app:" }, { env: "PASSWORD" }, { text: "@host" }]);
    assert.equal(await own.resolve(mixed), "db://app:canary@host");
    assert.equal(own.redact("canary, db://app:canary@host"), "[redacted], [redacted]");
    assert.equal(own.redact("db://app:"), "db://app:", "the plain part alone is no secret");
    assert.equal(mixed.describe(), '"…" + env("PASSWORD") + "…"');
  });

  test("that is plain text comes back as it is and is no secret", async () => {
    assert.equal(await secrets.resolve("plain text"), "plain text");
    assert.equal(secrets.redact("plain text"), "plain text");
    secrets.hide("abc");
    assert.equal(secrets.redact("abcd"), "abcd", "too short to be hidden");
  });
});
