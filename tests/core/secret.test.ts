import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { createSecrets, env, file, known } from "../../src/core/secret.ts";
import { errorJson, errorText } from "../../src/cli/errors.ts";
import { BackupError } from "../../src/core/errors.ts";

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
