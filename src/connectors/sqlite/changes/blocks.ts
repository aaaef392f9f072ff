/**
 * What the places and lengths of what changed are counted in: a page is that long, or a multiple of it,
 * or several lie in one. Part of the formats: another length would be another format.
 */
export const unitBytes = 4096;

/** The length of the blocks that are compared: a page's, or 4 KiB where pages are smaller. */
export function blockBytesOf(pageBytes: number): number {
  return Math.max(unitBytes, pageBytes);
}

/** The blocks of a file of this length; the last one may be shorter. */
export function blocksOf(fileBytes: number, blockBytes: number): number {
  return Math.ceil(fileBytes / blockBytes);
}
