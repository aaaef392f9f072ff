import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { sealName } from "../../src/catalog/seal.ts";
import { windowsOf } from "../../src/catalog/windows.ts";
import type { BackupRef } from "../../src/contracts/strategy.ts";
import type { Manifest } from "../../src/contracts/manifest.ts";

const at = (minute: number) => new Date(Date.UTC(2026, 10, 23, 12, minute));

/** A backup as its folder tells it, of this minute, or with a window of these two. */
function backup(
  id: string,
  parentId: string | undefined,
  [from, to]: readonly [number, number?],
  over: Partial<BackupRef> = {},
): BackupRef {
  const end = at(to ?? from).toISOString();
  const manifest = {
    startedAt: end,
    finishedAt: end,
    consistentAt: end,
    omitted: [],
    artifacts: [],
    ...to === undefined ? {} : { window: { from: at(from).toISOString(), to: end } },
  } as unknown as Manifest;
  const name = sealName({ manifest, bytes: new Uint8Array(1), sha256: "0".repeat(64) });
  return {
    id,
    job: "shop",
    kind: parentId === undefined ? "full" : "incremental",
    createdAt: at(from),
    sourceTag: "s000000",
    parentId,
    prefix: `${id}/`,
    storedBytes: 1,
    marks: [],
    files: new Map([[name, 1]]),
    ...over,
  };
}

const texts = (backups: readonly BackupRef[]) =>
  windowsOf(backups).map((
    { baseId, from, to, backups, isAnyMoment },
  ) => [baseId, from.getUTCMinutes(), to.getUTCMinutes(), backups, isAnyMoment]);

describe("the windows of chains", () => {
  test("go from where the full backup ended to the end of the last that builds on it", () => {
    const chain = [
      backup("a", undefined, [1, 1]),
      backup("b", "a", [1, 5]),
      backup("c", "b", [5, 9]),
    ];
    assert.deepEqual(texts(chain), [["a", 1, 9, 3, true]]);
  });

  test("are of single moments where no log is kept", () => {
    assert.deepEqual(texts([backup("a", undefined, [1]), backup("b", "a", [5])]), [
      ["a", 1, 5, 2, false],
    ]);
  });

  test("are newest first, and none of full backups that stand alone", () => {
    const all = [
      backup("a", undefined, [1, 1]),
      backup("b", undefined, [5, 5]),
      backup("c", "b", [5, 8]),
      backup("d", undefined, [9]),
    ];
    assert.deepEqual(texts(all), [["b", 5, 8, 2, true], ["a", 1, 1, 1, true]]);
  });

  test("end before what is damaged, or lacks its parent", () => {
    const damaged = { marks: [{ type: "damaged", at: at(30) }] } as const;
    const chain = [
      backup("a", undefined, [1, 1]),
      backup("b", "a", [1, 5]),
      backup("c", "b", [5, 7], damaged),
      backup("d", "c", [7, 9]),
    ];
    assert.deepEqual(texts(chain), [["a", 1, 5, 2, true]]);
    assert.deepEqual(texts(chain.toSpliced(1, 1)), [["a", 1, 1, 1, true]]);
  });
});
