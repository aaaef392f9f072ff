import type { ConfigPath } from "./problems.ts";

/**
 * The line of a key in TypeScript or JavaScript source, from 1; undefined where the source does not
 * spell it out (a spread, a variable, a computed key). It follows object literals and calls by their
 * brackets, which is what configs are made of, and prefers no line to a wrong one.
 */
export function locateInSource(source: string, path: ConfigPath): number | undefined {
  const tokens = tokenize(source);
  let range: Range = { from: 0, to: tokens.length };
  let line: number | undefined;
  for (const [depth, part] of path.entries()) {
    if (typeof part === "number") break;
    const found = findKey(tokens, range, String(part), depth === 0);
    if (found === undefined) return line;
    line = tokens[found]!.line;
    range = valueRange(tokens, found + 2);
  }
  return line;
}

interface Token {
  /** A word, a quoted text without its quotes, or one character. */
  readonly text: string;
  readonly isName: boolean;
  readonly line: number;
}

interface Range {
  readonly from: number;
  readonly to: number;
}

const pattern =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|[A-Za-z_$][\w$]*|\d[\w.]*|\S/g;

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let end = 0;
  for (const match of source.matchAll(pattern)) {
    line += newlinesIn(source.slice(end, match.index));
    end = match.index;
    const text = match[0];
    if (text.startsWith("//") || text.startsWith("/*")) continue;
    const isQuoted = text.length > 1 && /^["']/.test(text);
    const isName = isQuoted || /^[A-Za-z_$]/.test(text);
    tokens.push({ text: isQuoted ? text.slice(1, -1) : text, isName, line });
  }
  return tokens;
}

function newlinesIn(text: string): number {
  return text.split("\n").length - 1;
}

/** The one place in a range where `key:` stands at the range's own depth, or anywhere for the root. */
function findKey(
  tokens: readonly Token[],
  range: Range,
  key: string,
  isAnyDepth: boolean,
): number | undefined {
  const found: { index: number; depth: number }[] = [];
  let depth = 0;
  for (let index = range.from; index < range.to; index++) {
    const token = tokens[index]!;
    if (!token.isName && "{[(".includes(token.text)) depth++;
    if (!token.isName && "}])".includes(token.text)) depth--;
    const isKey = token.isName && token.text === key && tokens[index + 1]?.text === ":";
    if (isKey && (isAnyDepth || depth <= 2)) found.push({ index, depth });
  }
  const top = Math.min(...found.map((one) => one.depth));
  const best = found.filter((one) => one.depth === top);
  return best.length === 1 ? best[0]!.index : undefined;
}

/** From a value's first token to the comma or bracket that ends it. */
function valueRange(tokens: readonly Token[], from: number): Range {
  let depth = 0;
  for (let index = from; index < tokens.length; index++) {
    const { text, isName } = tokens[index]!;
    if (isName) continue;
    if ("{[(".includes(text)) depth++;
    if ("}])".includes(text) && --depth < 0) return { from, to: index };
    if (text === "," && depth === 0) return { from, to: index };
  }
  return { from, to: tokens.length };
}
