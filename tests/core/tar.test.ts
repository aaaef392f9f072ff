import assert from "node:assert/strict";
import { test } from "node:test";
import { tarEnd, tarHeader, tarPadding, tarReader } from "../../src/core/tar.ts";

/** The names in a tar, as a reader says them that gets it in pieces. */
function namesIn(tar: Uint8Array, options: Parameters<typeof tarReader>[0], pieceBytes: number) {
  const reader = tarReader(options);
  const names: string[] = [];
  for (let at = 0; at < tar.byteLength; at += pieceBytes) {
    for (const event of reader.push(tar.subarray(at, at + pieceBytes))) {
      if (event.type === "entry") names.push(event.entry.name);
    }
  }
  reader.end();
  return names;
}

const content = new Uint8Array(700 + tarPadding(700)).fill(7, 0, 700);
const header = tarHeader({ name: "a", bytes: 700 });
const plain = [...header, ...content, ...tarEnd];

/** The same header as others write it: with a time, and a checksum that fits. */
const dated = Uint8Array.from(header);
dated[146]! += 1;
dated.set(
  new TextEncoder().encode(
    `${
      dated.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0).toString(8)
        .padStart(6, "0")
    }\0 `,
  ),
  148,
);

test("tars of others are read, with zeros after their end", () => {
  const tar = Uint8Array.from([...dated, ...content, ...tarEnd, ...tarEnd]);
  for (const pieceBytes of [1, 511, 100_000]) {
    assert.deepEqual(namesIn(tar, {}, pieceBytes), ["a"]);
  }
});

test("an exact reader takes what was written here, and nothing else", () => {
  assert.deepEqual(namesIn(Uint8Array.from(plain), { isExact: true }, 100), ["a"]);
  for (
    const other of [
      [...dated, ...content, ...tarEnd],
      [...plain, 0],
      [...plain, ...tarEnd],
      [...plain, ...plain],
    ]
  ) {
    for (const pieceBytes of [1, 511, 100_000]) {
      assert.throws(
        () => namesIn(Uint8Array.from(other), { isExact: true }, pieceBytes),
        { code: "verification/structure" },
      );
    }
  }
});
