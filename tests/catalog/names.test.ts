import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  artifactName,
  backupPrefix,
  compactTime,
  escapeName,
  folderName,
  isBackupId,
  isScratchName,
  newBackupId,
  parseCompactTime,
  parseFolderName,
  scratchKey,
  sourceTag,
  unescapeName,
  volumeName,
} from "../../src/catalog/names.ts";
import { isOwnFile } from "../../src/catalog/own-files.ts";
import { markName } from "../../src/catalog/mark-names.ts";

const names = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }).filter((text) => text.isWellFormed()),
  fc.constantFrom("con", "CON.txt", ".hidden", "-rf", "a.", "", "=", "größe", "Shop DB", "a/b\\c"),
);

describe("an escaped name", () => {
  test("can be undone, unless it was cut", () => {
    fc.assert(fc.property(names, (name) => {
      const escaped = escapeName(name);
      if (escaped.includes("==")) return;
      assert.equal(unescapeName(escaped), name);
    }));
  });

  test("is made of what every store takes, and neither hidden, nor an option, nor too long", () => {
    fc.assert(fc.property(names, (name) => {
      const escaped = escapeName(name);
      assert.match(escaped, /^[a-z0-9_=][a-zA-Z0-9._=-]*$/);
      assert.ok(!escaped.endsWith("."));
      assert.ok(escaped.length <= 200);
      assert.doesNotMatch(escaped, /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i);
    }));
  });

  test("differs for different names, even without regard to case", () => {
    fc.assert(fc.property(names, names, (one, other) => {
      const same = escapeName(one).toLowerCase() === escapeName(other).toLowerCase();
      assert.equal(same, one === other);
    }));
    assert.notEqual(escapeName("Shop").toLowerCase(), escapeName("shop").toLowerCase());
  });

  test("that is long is cut at a whole escape, and stays different by its digest", () => {
    const long = "ß".repeat(300);
    const [one, other] = [escapeName(`${long}a`), escapeName(`${long}b`)];
    assert.notEqual(one, other);
    assert.match(one, /^(?:=[0-9A-F]{2})+==[0-9a-f]{16}$/);
    assert.equal(unescapeName(one), undefined);
  });

  test("of another spelling is not ours", () => {
    for (const text of ["A", "=41b", "a=2", "=c3=9f", "a b"]) {
      const name = unescapeName(text);
      assert.ok(name === undefined || escapeName(name) === text, text);
    }
    assert.equal(unescapeName("=61"), undefined);
  });
});

describe("a folder's name", () => {
  const parts = fc.record({
    startedAt: fc.date({
      min: new Date("1970-01-01T00:00:00Z"),
      max: new Date("2999-12-31T23:59:59Z"),
      noInvalidDate: true,
    }).map((at) => new Date(Math.floor(at.getTime() / 1000) * 1000)),
    kind: fc.constantFrom("full" as const, "differential" as const, "incremental" as const),
    seed: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  });

  test("tells what it was made of", () => {
    fc.assert(fc.property(parts, ({ startedAt, kind, seed }) => {
      const id = newBackupId(() => seed);
      const parentId = kind === "full" ? undefined : newBackupId(() => seed.toReversed());
      const name = { startedAt, kind, id, sourceTag: sourceTag("sqlite", id), parentId };
      assert.ok(isBackupId(id));
      assert.deepEqual(parseFolderName(folderName(name)), name);
      assert.equal(backupPrefix({ ...name, job: "Shop" }), `=53hop/${folderName(name)}/`);
    }));
  });

  for (
    const wrong of [
      "20261123T030000Z_full_k3v9x2ma",
      "20261123T030000Z_full_k3v9x2ma_s41f0c2_p81qz0wd",
      "20261123T030000Z_incr_k3v9x2ma_s41f0c2",
      "20261323T030000Z_full_k3v9x2ma_s41f0c2",
      "20261123T030000Z_differential_k3v9x2ma_s41f0c2_k3v9x2mb",
      "20261123T030000Z_full_k3v9x2mu_s41f0c2",
      "x20261123T030000Z_full_k3v9x2ma_s41f0c2",
      "20261123T030000Z_full_K3V9X2MA_s41f0c2",
      "",
    ]
  ) {
    test(`is not ${JSON.stringify(wrong)}`, () => assert.equal(parseFolderName(wrong), undefined));
  }

  test("has a moment that exists", () => {
    assert.equal(parseCompactTime("20260231T000000Z"), undefined);
    assert.equal(compactTime(parseCompactTime("20261123T030405Z")!), "20261123T030405Z");
  });
});

describe("a file's name", () => {
  test("is readable, short and dbbackup's own", () => {
    fc.assert(fc.property(names, fc.integer({ min: 1, max: 2000 }), (slug, number) => {
      const name = artifactName({ role: "dump", number, slug, suffixes: ["pgdump", "zst", "age"] });
      assert.match(name, /^dump-\d{3,}(?:-[a-z0-9-]{1,40})?\.pgdump\.zst\.age$/);
      assert.ok(isOwnFile(name) && isOwnFile(volumeName(name, number)));
    }));
    assert.equal(
      artifactName({ role: "dump", number: 1, slug: "Größe 2", suffixes: ["sql", "gz"] }),
      "dump-001-gro-e-2.sql.gz",
    );
    assert.equal(
      artifactName({ role: "inventory", number: 2, slug: "", suffixes: ["json"] }),
      "inventory.json",
    );
    assert.equal(volumeName("dump-001.sql", 2), "dump-001.sql.v002");
  });

  test("of anything else is not dbbackup's", () => {
    const at = new Date("2026-11-23T03:00:00Z");
    const own = ["manifest.json", "RESTORE.txt", "hold", markName({ type: "damaged", at })];
    for (const name of own) assert.ok(isOwnFile(name), name);
    for (
      const name of ["notes.txt", "manifest.json.bak", "a/dump-001.sql", "hold2", "Dump-001.x"]
    ) {
      assert.ok(!isOwnFile(name), name);
    }
  });

  test("of a check of the clock is told from a backup's folder", () => {
    assert.ok(isScratchName(scratchKey("shop", "k3v9x2ma").split("/")[1]!));
    assert.ok(!isScratchName("clock-tower"));
  });
});
