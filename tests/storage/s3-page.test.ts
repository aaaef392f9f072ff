import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { IncompletePage, readPage } from "../../src/storage/s3/page.ts";
import { ForeignAnswer } from "../../src/storage/foreign.ts";

describe("a page of S3's LIST", () => {
  test("is read whatever pieces it comes in", async () => {
    const text = pageOf(
      "<Key>a &amp; ü/b&#39;</Key><LastModified>2026-11-28T15:00:00.000Z" +
        "</LastModified><ETag>&quot;x&quot;</ETag><Size>12</Size><Owner><ID>me</ID></Owner>",
    );
    for (const length of [1, 7, 10_000]) {
      assert.deepEqual(await readPage(inPieces(text, length)), {
        entries: [{ name: "a & ü/b'", bytes: 12, modifiedAt: new Date("2026-11-28T15:00:00Z") }],
        next: undefined,
      });
    }
  });

  test("tells where the next one begins", async () => {
    const more = "<IsTruncated>true</IsTruncated><NextContinuationToken>on</NextContinuationToken>";
    const text = pageOf("<Key>a</Key>").replace("<IsTruncated>false</IsTruncated>", more);
    assert.equal((await readPage(inPieces(text, 99))).next, "on");
  });

  test("is read although XML cannot hold the name of somebody's object", async () => {
    for (const name of ["a&#x1;b", "a\u0001b"]) {
      const text = pageOf(`<Key>${name}</Key></Contents><Contents><Key>ours</Key>`);
      const { entries } = await readPage(inPieces(text, 99));
      assert.equal(entries.at(-1)?.name, "ours");
    }
  });

  test("is none when it is cut short", async () => {
    const text = pageOf("<Key>a</Key>");
    for (const length of [text.length - 1, text.length - 30, 60]) {
      await assert.rejects(readPage(inPieces(text.slice(0, length), 50)), IncompletePage);
    }
  });

  test("is none when something else answers", async () => {
    for (const text of ["", "<html><body>Welcome</body></html>", "<ListBucketResult/>"]) {
      await assert.rejects(readPage(inPieces(text, 50)), ForeignAnswer);
    }
  });
});

function pageOf(contents: string): string {
  return '<?xml version="1.0" encoding="UTF-8"?>\n' +
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>' +
    `<IsTruncated>false</IsTruncated><Contents>${contents}</Contents></ListBucketResult>`;
}

async function* inPieces(text: string, length: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.byteLength; at += length) yield bytes.subarray(at, at + length);
}
