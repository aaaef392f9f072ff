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
  const cut = rows.map((row) => row.map((cell, index) => shorten(cell, columns[index]?.maxWidth)));
  const titles = columns.map(({ title }) => title);
  const widths = columns.map((_, index) =>
    Math.max(...[titles, ...cut].map((row) => widthOf(row[index] ?? "")))
  );
  return [titles, ...cut].map((row) =>
    row.map((cell, index) => {
      const space = " ".repeat(Math.max(0, widths[index]! - widthOf(cell)));
      return columns[index]?.isRight === true ? space + cell : cell + space;
    }).join("  ").trimEnd()
  ).join("\n");
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
