import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { adoptCommand, type RestoreWords } from "../../src/cli/restore-again.ts";
import { incompleteError, unfinishedError } from "../../src/cli/restore-left.ts";
import type { RestoreResult } from "../../src/contracts/restore.ts";
import { assertRestored, type InventoryDifference } from "../../src/contracts/inventory.ts";
import { BackupError, toBackupError } from "../../src/core/errors.ts";

const nothing: RestoreWords = {
  ...{ config: undefined, from: [], to: undefined, passwordFile: undefined, databases: [] },
  ...{ only: [], overwrite: false, accounts: false, parallel: undefined, restoreArgs: [] },
  ...{ identities: [], passphraseFile: undefined, passphraseEnv: undefined, yes: false },
};

function missing(count: number): InventoryDifference[] {
  return Array.from({ length: count }, (_, index) => ({
    ...{ database: "shop", type: "table", name: `public.t${index}`, problem: "missing" } as const,
    isFailure: true,
  }));
}

/** What a connector throws for these. */
function thrown(differences: InventoryDifference[], name: string): BackupError {
  try {
    const left = [{ from: "shop", to: "shop", name }];
    assertRestored(differences, { target: "shop", left, isAccepted: false });
  } catch (error) {
    return toBackupError(error);
  }
  throw new Error("it has to differ");
}

describe("the command that takes what a restore left", () => {
  test("has every word that was given, quoted for a shell, and the whole id", () => {
    const command = adoptCommand(["k3v9x2ma"], {
      ...nothing,
      ...{ config: "my config.ts", from: ["./b's", "s3://acme/x?region=eu"], to: "shop" },
      ...{ passwordFile: "pw", databases: ["a b"], only: ["public.$t", "-x"], overwrite: true },
      ...{ accounts: true, parallel: 4, restoreArgs: ["--no-owner"], identities: ["~/k"] },
      ...{ passphraseFile: "p", passphraseEnv: "P", yes: true },
    });
    assert.equal(
      command,
      "dbbackup restore k3v9x2ma --config 'my config.ts' --from './b'\\''s' " +
        "--from 's3://acme/x?region=eu' --to shop --password-file pw --database 'a b' " +
        "--only 'public.$t' --only=-x --overwrite --accounts --jobs 4 --restore-arg=--no-owner " +
        "--identity '~/k' --passphrase-file p --passphrase-env P --yes --accept-differences",
    );
  });

  test("has no password of a URL, and nothing else that is secret", () => {
    for (
      const [to, kept] of [
        ["postgres://app:s3cr@t@db:5432/shop", "postgres://app@db:5432/shop"],
        ["mongodb://u:s3cret@a,b/x?authSource=admin", "'mongodb://u@a,b/x?authSource=admin'"],
        ["postgres://app@db/shop?password=s3cret", "postgres://app@db/shop"],
        ["mysql://db/x?password=s3cret&sslmode=require", "'mysql://db/x?sslmode=require'"],
        ["env:DATABASE_URL", "env:DATABASE_URL"],
      ]
    ) {
      const command = adoptCommand(["id"], { ...nothing, to: to! });
      assert.equal(command, `dbbackup restore id --to ${kept} --accept-differences`);
    }
  });
});

describe("a restore that differs", () => {
  test("tells all of many differences up to a bound, and how many more there are", () => {
    const { message, hint } = incompleteError(thrown(missing(250), "shop_restore_id"), "COMMAND");
    const lines = message.split("\n");
    assert.equal(lines.filter((line) => line.startsWith("  differs: table shop: ")).length, 100);
    assert.match(lines.at(-1)!, /150 more/);
    assert.match(
      hint!,
      /What was restored for "shop" is "shop_restore_id"; "shop" was not touched\./,
    );
    assert.match(hint!, /\n {2}COMMAND$/);
  });

  test("says that it is in its place, where it was not restored beside", () => {
    const { message, hint } = incompleteError(thrown(missing(1), "shop"), "COMMAND");
    assert.doesNotMatch(message, /\n/);
    assert.match(hint!, /is where it is to be, in "shop"\./);
  });

  test("is restored again, where a plugin has kept nothing", () => {
    const bare = new BackupError("restore/incomplete", "it differs");
    assert.equal(
      incompleteError(bare, "C").hint,
      "To restore again and take the result as it is:\n  C",
    );
    const other = new BackupError("restore/failed", "no");
    assert.equal(incompleteError(other, "C"), other);
  });
});

test("a restore that kept going in place names no command, because there is nothing to take", () => {
  const result: RestoreResult = {
    ...{ steps: [], differences: [], warnings: [], followUps: [] },
    failures: [{ database: "shop", message: "ERROR 1064", leaves: "View v is missing." }],
    left: [{ from: "shop", to: "shop", name: "shop" }],
  };
  const error = unfinishedError(result, "COMMAND")!;
  assert.equal(error.code, "restore/statements-failed");
  assert.match(error.message, /1 failed statement:\n {2}shop: ERROR 1064\n {4}View v is missing\./);
  assert.doesNotMatch(error.hint!, /COMMAND/);
  assert.match(error.hint!, /It can be used\. Make by hand what is missing\.$/);
  assert.equal(unfinishedError({ ...result, failures: [], left: [] }, "COMMAND"), undefined);
});
