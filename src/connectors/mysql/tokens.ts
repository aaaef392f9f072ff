/** A word, a name, a string or a mark of SQL text, with its place in it. */
export interface Token {
  /** `name` is a quoted identifier; an unquoted one is a `word`. */
  readonly type: "word" | "name" | "string" | "mark";
  /** Words as written, names and strings without quotes, marks as one character. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

// White space, comments, and the frames of conditional comments, whose content is executed.
const skipped = /(?:\s+|\/\*M?!\d*|\*\/|\/\*[^]*?\*\/|(?:--\s|#)[^\n]*)+/y;
const token =
  /`((?:[^`]|``)*)`|"((?:[^"\\]|""|\\.)*)"|'((?:[^'\\]|''|\\.)*)'|([\w$\u0080-\uffff]+)|([^])/y;

/**
 * The first tokens of a statement. Conditional comments are seen through, since every server that
 * matters here executes them.
 *
 * @param limit how many tokens at most
 */
export function tokenize(sql: string, limit: number): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (tokens.length < limit) {
    skipped.lastIndex = at;
    if (skipped.test(sql)) at = skipped.lastIndex;
    token.lastIndex = at;
    const match = token.exec(sql);
    if (match === null) break;
    const start = at;
    at = token.lastIndex;
    tokens.push({ ...read(match), start, end: at });
  }
  return tokens;
}

function read([, name, ansiName, string, word, mark]: RegExpExecArray) {
  if (name !== undefined) return { type: "name", text: name.replaceAll("``", "`") } as const;
  // A dump made under ANSI_QUOTES has names in double quotes, and no strings in them.
  if (ansiName !== undefined) {
    return { type: "name", text: ansiName.replaceAll('""', '"') } as const;
  }
  if (string !== undefined) return { type: "string", text: string } as const;
  if (word !== undefined) return { type: "word", text: word } as const;
  return { type: "mark", text: mark! } as const;
}
