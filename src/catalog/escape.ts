import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";

// File systems take names of 255 bytes; the rest is room for what others add to them.
const longestName = 200;
const digestLength = 16;

/**
 * A name as one part of a key: reversible, different for different names even where a store takes
 * upper and lower case for the same, and made only of `a-z 0-9 . _ - =`, which every store and shell
 * takes as they are. Everything else becomes `=` and two upper-case hex digits for each byte of its
 * UTF-8 form, as in quoted-printable (RFC 2045, 6.7).
 *
 * A name that gets longer than 200 characters is cut and ends in `==` and a digest of the whole;
 * then {@link unescapeName} cannot tell it, and only the manifest has it.
 */
export function escapeName(name: string): string {
  const bytes = Buffer.from(name, "utf8");
  if (bytes.length === 0) return "=";
  const isReserved = reservedOnWindows.test(name);
  const parts = [...bytes].map((byte, index) => {
    const isEdge = index === 0 || index === bytes.length - 1;
    const isPlain = isPlainByte(byte, isEdge) && !(index === 0 && isReserved);
    return isPlain ? String.fromCharCode(byte) : escapeByte(byte);
  });
  const escaped = parts.join("");
  return escaped.length <= longestName ? escaped : cut(parts, bytes);
}

/** The name that {@link escapeName} was given; undefined for what it did not make, or has cut. */
export function unescapeName(escaped: string): string | undefined {
  if (escaped === "=") return "";
  if (!/^(?:[a-z0-9._-]|=[0-9A-F]{2})+$/.test(escaped)) return undefined;
  const binary = escaped.replace(
    /=([0-9A-F]{2})/g,
    (_, hex: string) => String.fromCharCode(parseInt(hex, 16)),
  );
  const name = Buffer.from(binary, "latin1").toString("utf8");
  // Other spellings of the same name are not ours.
  return escapeName(name) === escaped ? name : undefined;
}

// Windows takes these for devices, whatever follows the first dot.
const reservedOnWindows = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;

function isPlainByte(byte: number, isEdge: boolean): boolean {
  const character = String.fromCharCode(byte);
  // At the edges, "." and "-" mean hidden, an option, or nothing at all on Windows.
  return (isEdge ? /[a-z0-9_]/ : /[a-z0-9._-]/).test(character);
}

function escapeByte(byte: number): string {
  return `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

function cut(parts: readonly string[], bytes: Uint8Array): string {
  const digest = createHash("sha256").update(bytes).digest("hex").slice(0, digestLength);
  let start = "";
  for (const part of parts) {
    if (start.length + part.length > longestName - digestLength - 2) break;
    start += part;
  }
  return `${start}==${digest}`;
}
