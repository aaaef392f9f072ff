import { Buffer } from "node:buffer";

/** Headers and contents of a tar archive are padded to this many bytes. */
export const tarBlockBytes = 512;

/** What a tar archive says of one file. */
export interface TarEntry {
  readonly name: string;
  readonly bytes: number;
}

/** The end of an archive: two blocks of zeros. */
export const tarEnd: Uint8Array = new Uint8Array(2 * tarBlockBytes);

/**
 * The header of a plain file, as POSIX has it (ustar,
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06).
 *
 * @param entry its name of at most 100 ASCII characters, its size below 8 GiB
 */
export function tarHeader({ name, bytes }: TarEntry): Uint8Array {
  const header = Buffer.alloc(tarBlockBytes);
  header.write(name, 0, 100, "ascii");
  header.write("0000600\0", 100, "ascii");
  header.write("0000000\0".repeat(2), 108, "ascii");
  header.write(`${bytes.toString(8).padStart(11, "0")}\0`, 124, "ascii");
  header.write(`${"0".repeat(11)}\0`, 136, "ascii");
  header.write("0", 156, "ascii"); // a plain file
  header.write("ustar\x0000", 257, "ascii");
  header.write(`${sumOf(header).toString(8).padStart(6, "0")}\0 `, 148, "ascii");
  return header;
}

/** The entry of a header that {@link tarHeader} made; undefined for other bytes. */
export function parseTarHeader(header: Uint8Array): TarEntry | undefined {
  const text = Buffer.from(header.buffer, header.byteOffset, tarBlockBytes).toString("latin1");
  const name = text.slice(0, 100).replace(/\0+$/, "");
  const bytes = /^[0-7]{11}$/.exec(text.slice(124, 135))?.[0];
  const isFile = text[156] === "0" && text.startsWith("ustar", 257);
  if (name === "" || bytes === undefined || !isFile) return undefined;
  return Number.parseInt(text.slice(148, 154), 8) === sumOf(header)
    ? { name, bytes: Number.parseInt(bytes, 8) }
    : undefined;
}

/** How many zeros follow a content of this length. */
export function tarPadding(bytes: number): number {
  return (tarBlockBytes - bytes % tarBlockBytes) % tarBlockBytes;
}

/** The sum of the header's bytes, where the checksum itself counts as spaces. */
function sumOf(header: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < tarBlockBytes; at++) {
    if (at < 148 || at >= 156) sum += header[at]!;
  }
  return sum;
}
