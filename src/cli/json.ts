// One write for a few dozen kilobytes.
const longestPiece = 64 * 1024;

/**
 * A value as indented JSON with a line break, in pieces. Of an iterable, which becomes an array, no
 * more than a piece is in memory at a time.
 */
export function* jsonPieces(value: unknown): Generator<string> {
  if (!isList(value)) {
    yield `${JSON.stringify(value, null, 2)}\n`;
    return;
  }
  let piece = "[";
  let isEmpty = true;
  for (const one of value) {
    const text = JSON.stringify(one, null, 2) ?? "null";
    piece += `${isEmpty ? "" : ","}\n  ${text.replaceAll("\n", "\n  ")}`;
    isEmpty = false;
    if (piece.length < longestPiece) continue;
    yield piece;
    piece = "";
  }
  yield `${piece}${isEmpty ? "" : "\n"}]\n`;
}

function isList(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}
