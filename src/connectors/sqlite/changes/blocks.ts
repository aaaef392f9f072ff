/**
 * Increments are made of blocks of this length, counted from the file's start; the last one may be
 * shorter. Part of the formats: another length would be another format. 64 KiB is the largest page
 * of SQLite, and its digest the four-thousandth part of it.
 */
export const blockBytes = 64 * 1024;

/** The blocks of a file of this length. */
export function blocksOf(fileBytes: number): number {
  return Math.ceil(fileBytes / blockBytes);
}
