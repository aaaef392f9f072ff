import { Buffer } from "node:buffer";

/** Turns a name or statement as a server or pg_dump has it into text; see {@link textDecoder}. */
export type DecodeText = (bytes: Uint8Array) => string;

/** PostgreSQL's encodings whose names the Web's TextDecoder does not know. */
const labels: Readonly<Record<string, string>> = {
  UTF8: "utf-8",
  SQL_ASCII: "utf-8",
  ...{ LATIN2: "iso-8859-2", LATIN3: "iso-8859-3", LATIN4: "iso-8859-4", LATIN5: "iso-8859-9" },
  ...{ LATIN6: "iso-8859-10", LATIN7: "iso-8859-13", LATIN8: "iso-8859-14" },
  ...{ LATIN9: "iso-8859-15", LATIN10: "iso-8859-16", KOI8R: "koi8-r", KOI8U: "koi8-u" },
  ...{ WIN866: "ibm866", WIN874: "windows-874", WIN: "windows-1251", ALT: "ibm866" },
  ...{ EUC_JP: "euc-jp", EUC_JIS_2004: "euc-jp", EUC_KR: "euc-kr", EUC_CN: "gbk", UHC: "euc-kr" },
  ...{ SJIS: "shift_jis", SHIFT_JIS_2004: "shift_jis", BIG5: "big5", GBK: "gbk" },
  GB18030: "gb18030",
};

/**
 * The decoder of one of PostgreSQL's encodings, by the server's name for it. SQL_ASCII means any
 * bytes at all, taken for UTF-8 where they are that.
 *
 * Bytes that are no text in the encoding become lone surrogates U+DC80 to U+DCFF, as Python's
 * `surrogateescape` has it (PEP 383): two names stay two names, and {@link escapedBytes} gives the
 * bytes back.
 */
export function textDecoder(encoding: string): DecodeText {
  const name = encoding.toUpperCase();
  // The Web takes iso-8859-1 for windows-1252; PostgreSQL does not.
  if (name === "LATIN1") return (bytes) => bufferOf(bytes).toString("latin1");
  const decoder = new TextDecoder(labelOf(name), { fatal: true, ignoreBOM: true });
  return (bytes) => {
    try {
      return decoder.decode(bytes);
    } catch {
      return [...bytes].map((byte) => String.fromCharCode(byte < 0x80 ? byte : 0xdc00 + byte))
        .join("");
    }
  };
}

/** Whether a text holds bytes that its encoding does not know. */
export function hasEscapedBytes(text: string): boolean {
  return /[\udc80-\udcff]/u.test(text);
}

/** A text as UTF-8, with the bytes that its lone surrogates stand for. */
export function escapedBytes(text: string): Uint8Array {
  return Buffer.concat(
    [...text].map((character) =>
      hasEscapedBytes(character)
        ? Uint8Array.of(character.charCodeAt(0) & 0xff)
        : Buffer.from(character)
    ),
  );
}

function labelOf(name: string): string {
  const label = labels[name] ?? name.replace(/^WIN(\d+)$/, "windows-$1").replace("_", "-")
    .replace(/^ISO-8859-/, "iso-8859-");
  try {
    return new TextDecoder(label).encoding;
  } catch {
    // EUC_TW and MULE_INTERNAL, which the Web has never had: all but ASCII is kept as bytes.
    return "utf-8";
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
