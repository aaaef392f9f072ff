/** A column of a table. */
export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly isRight?: boolean;
  /** Widest it may get; longer values end in `…`. */
  readonly maxWidth?: number;
}

/** Lays rows out in columns, two spaces apart; lines have no trailing spaces. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  return [...tableLines(columns, rows)].join("\n");
}

/**
 * The lines of {@link formatTable} one after the other: of a long table none is kept.
 *
 * @param rows is gone through twice: for the widths first
 */
export function* tableLines(
  columns: readonly Column[],
  rows: Iterable<readonly string[]>,
): Generator<string> {
  const cellOf = (row: readonly string[], index: number) =>
    shorten(row[index] ?? "", columns[index]?.maxWidth);
  const widths = columns.map(({ title }) => widthOf(title));
  for (const row of rows) {
    for (const index of widths.keys()) {
      widths[index] = Math.max(widths[index]!, widthOf(cellOf(row, index)));
    }
  }
  yield lineOf(columns.map(({ title }) => title));
  for (const row of rows) yield lineOf(columns.map((_, index) => cellOf(row, index)));

  function lineOf(cells: readonly string[]): string {
    return cells.map((cell, index) => {
      const space = " ".repeat(Math.max(0, widths[index]! - widthOf(cell)));
      return columns[index]?.isRight === true ? space + cell : cell + space;
    }).join("  ").trimEnd();
  }
}

/** Cuts a text to a number of characters, the last of which is then `…`. */
export function shorten(text: string, maxWidth: number | undefined): string {
  if (maxWidth === undefined || text.length <= maxWidth) return text;
  const characters = [...text];
  if (characters.length <= maxWidth) return text;
  return `${characters.slice(0, Math.max(1, maxWidth - 1)).join("")}…`;
}

function widthOf(text: string): number {
  return isAscii(text) ? text.length : [...text].length;
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
