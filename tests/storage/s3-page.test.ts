import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import fc from "fast-check";
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

  test("is read the same in the usual way of writing it and in others that XML allows", async () => {
    const name = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) =>
      // deno-lint-ignore no-control-regex
      !/[\u0000-\u001f\ufffe\uffff]|\p{Cs}/u.test(text)
    );
    const object = fc.record({
      name,
      bytes: fc.nat(),
      modifiedAt: fc.date({ noInvalidDate: true }),
    });
    await fc.assert(fc.asyncProperty(fc.array(object, { minLength: 1 }), async (objects) => {
      const written = objects.filter(({ modifiedAt }) => modifiedAt.getUTCFullYear() < 10_000)
        .map(({ name, bytes, modifiedAt }) =>
          `<Key>${escaped(name)}</Key><LastModified>${modifiedAt.toISOString()}</LastModified>` +
          `<ETag>&quot;x&quot;</ETag><Size>${bytes}</Size><Owner><ID>a</ID><ID/></Owner>`
        );
      const usual = pageOf(written.join("</Contents><Contents>"));
      for (
        const other of [
          usual.replaceAll("<Contents>", "<Contents >"),
          usual.replace("<Contents>", "<!-- <Contents> --><Contents>"),
          usual.replaceAll("Key>", "s3:Key>"),
        ]
      ) {
        assert.deepEqual(
          await readPage(inPieces(usual, 999)),
          await readPage(inPieces(other, 999)),
        );
      }
    }));
  });

  test("is none when an object in it is garbled", async () => {
    for (const text of ["<Key>a</Kez>", "<Key>a", "<Key>a<</Key>", "<Key>a</Key><Size>1"]) {
      await assert.rejects(readPage(inPieces(pageOf(text), 999)), IncompletePage);
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

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
}

function inPieces(text: string, length: number): Response {
  const bytes = Buffer.from(text);
  return new Response(async function* () {
    for (let at = 0; at < bytes.byteLength; at += length) yield bytes.subarray(at, at + length);
  }());
}
