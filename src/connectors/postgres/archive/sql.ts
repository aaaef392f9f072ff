/** A piece of SQL: everything but words and quoted names is kept as it is. */
export interface Token {
  /** `name`: an identifier, quoted or not. `text`: a literal. `other`: signs and white space. */
  readonly type: "word" | "name" | "text" | "other";
  /** As written. */
  readonly source: string;
}

const token = new RegExp(
  [
    `(?<name>"(?:[^"]|"")*")`,
    // E'…' knows backslashes; a plain literal, with standard_conforming_strings on, does not.
    `(?<text>[Ee]'(?:[^'\\\\]|''|\\\\[\\s\\S])*'|'(?:[^']|'')*')`,
    `(?<word>[A-Za-z_\\u0080-\\uffff][\\w$\\u0080-\\uffff]*)`,
    `(?<other>--[^\\n]*|[\\s\\S])`,
  ].join("|"),
  "gu",
);

/** Takes SQL of pg_dump or pg_dumpall apart. Joined again, the tokens are the text. */
export function tokensOf(sql: string): Token[] {
  return [...sql.matchAll(token)].map(({ 0: source, groups }) => {
    if (groups?.["name"] !== undefined) return { type: "name", source };
    if (groups?.["text"] !== undefined) return { type: "text", source };
    return groups?.["word"] !== undefined ? { type: "word", source } : { type: "other", source };
  });
}

/** The statements of a text, without comments, psql's own commands and the semicolons between. */
export function statementsOf(sql: string): string[] {
  const withoutCommands = sql.replaceAll(/^\\(un)?restrict .*$/gm, "");
  const statements: string[] = [];
  let current = "";
  for (const { type, source } of tokensOf(withoutCommands)) {
    if (type === "other" && source.startsWith("--")) continue;
    if (type === "other" && source === ";") {
      statements.push(current.trim());
      current = "";
    } else current += source;
  }
  statements.push(current.trim());
  return statements.filter((statement) => statement !== "");
}

/** Gives a database another name wherever a statement names it: after the word DATABASE. */
export function renameDatabase(statement: string, quotedName: string): string {
  let isNext = false;
  let isTarget = false;
  return tokensOf(statement).map(({ type, source }) => {
    if (isNext && (type === "name" || type === "word")) {
      isNext = false;
      isTarget = true;
      return quotedName;
    }
    // Only the first: what follows may be a setting that is called like it.
    if (!isTarget && type === "word" && source.toUpperCase() === "DATABASE") isNext = true;
    return source;
  }).join("");
}

/** The plain name of an identifier as written; unquoted ones are in lower case already. */
export function plainName(source: string): string {
  return source.startsWith('"') ? source.slice(1, -1).replaceAll('""', '"') : source;
}

/** What a literal of pg_dump says, `'…'` or `E'…'`. */
export function literalText(source: string): string {
  const isEscaping = /^[Ee]/.test(source);
  const inside = source.replace(/^[Ee]?'/, "").replace(/'$/, "").replaceAll("''", "'");
  return isEscaping ? inside.replaceAll("\\\\", "\\") : inside;
}

/** Words that stand where a role's name could, but are none. */
const noRoles = new Set(["PUBLIC", "CURRENT_USER", "SESSION_USER", "CURRENT_ROLE", "GROUP"]);

/** The roles that statements name after one of these words, such as TO and FROM. */
export function rolesAfter(sql: string, words: readonly string[]): string[] {
  const roles: string[] = [];
  for (const statement of statementsOf(sql)) {
    const tokens = tokensOf(statement).filter(({ source }) => source.trim() !== "");
    tokens.forEach(({ type, source }, at) => {
      if (type !== "word" || !words.includes(source.toUpperCase())) return;
      // A list: name, name, …
      for (let next = at + 1; next < tokens.length; next += 2) {
        const { type, source } = tokens[next]!;
        if (type !== "name" && type !== "word") break;
        if (type === "name" || !noRoles.has(source.toUpperCase())) roles.push(plainName(source));
        if (tokens[next + 1]?.source !== ",") break;
      }
    });
  }
  return roles;
}
