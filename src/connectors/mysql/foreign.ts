import { type Token, tokenize } from "./tokens.ts";

/** Something in a dump that only one of MySQL and MariaDB has, or has in this way. */
export interface Foreign {
  /** What it is, as an inventory keeps it: `collation utf8mb4_0900_ai_ci`, `type uuid`. */
  readonly need: string;
  readonly kind: ForeignKind;
  /** What the kind is about: the collation's or the type's name. */
  readonly name: string;
  /** Where it stands, in characters. */
  readonly start: number;
  readonly end: number;
}

/** See {@link Foreign}. */
export type ForeignKind =
  | "collation"
  | "charset"
  | "type"
  | "default"
  | "key of an expression"
  | "parser"
  | "check that is not enforced"
  | "function"
  | "pattern"
  | "invisible"
  | "ignored key"
  | "encryption"
  | "secondary engine"
  | "table option"
  | "system versioning"
  | "period"
  | "sequence"
  | "lateral"
  | "sql mode"
  | "introducer";

/** Kinds that come over without a difference that anybody would see. */
const unseen: readonly ForeignKind[] = [
  "charset",
  "default",
  "pattern",
  "secondary engine",
  "table option",
  "sql mode",
  "introducer",
  "ignored key",
];

/** What of a statement has to be known before a restore to the other flavour; each once. */
export function needsOf(head: string): string[] {
  return [
    ...new Set(
      findForeign(head).filter(({ kind }) => !unseen.includes(kind)).map(({ need }) => need),
    ),
  ];
}

/** What {@link needsOf} says, taken apart; undefined for what a later version knows. */
export function readNeed(need: string): Pick<Foreign, "kind" | "name"> | undefined {
  for (const kind of namedKinds) {
    const name = new RegExp(`^${kind} (.+)$`).exec(need)?.[1];
    if (name !== undefined) return { kind, name };
  }
  for (const kind of ["key of an expression", "check that is not enforced"] as const) {
    const [word, ...rest] = kind.split(" ");
    if (need.startsWith(`${word} `) && need.endsWith(` ${rest.join(" ")}`)) {
      return { kind, name: need.slice(word!.length + 1, -rest.join(" ").length - 1) };
    }
  }
  const kind = plainKinds.find((one) => one === need);
  return kind === undefined ? undefined : { kind, name: "" };
}

const namedKinds = ["collation", "type", "parser", "function"] as const;
const plainKinds = [
  "invisible",
  "encryption",
  "system versioning",
  "period",
  "sequence",
  "lateral",
] as const;

/** Collations that both flavours have are told by what only one has in its names. */
const ownCollation = /_0900_|_uca1400_|^uca1400_|nopad_|_520_w2$|_mysql561_|_myanmar_ci|^gb18030_/;
const ownTypes: readonly string[] = ["UUID", "INET4", "INET6", "VECTOR", "GEOMCOLLECTION"];
const ownFunctions: readonly string[] = ["UUID_TO_BIN", "BIN_TO_UUID", "IS_UUID", "REGEXP_LIKE"];
const ownModes =
  /\b(?:NO_AUTO_CREATE_USER|NO_FIELD_OPTIONS|NO_KEY_OPTIONS|NO_TABLE_OPTIONS|TIME_TRUNCATE_FRACTIONAL)\b/;
const ownOptions: readonly string[] = ["PAGE_CHECKSUM", "TRANSACTIONAL", "IETF_QUOTES"];
const largeTypes = /^(?:TINY|MEDIUM|LONG)?(?:TEXT|BLOB)$|^(?:JSON|GEOMETRY|POINT)$/;

/** Finds them, in their order, none within another. */
export function findForeign(head: string): Foreign[] {
  const tokens = tokenize(head, Infinity);
  const found: Foreign[] = [];
  const add = (kind: ForeignKind, name: string, first: Token, last: Token, need = kind as string) =>
    found.push({ kind, name, need, start: first.start, end: last.end });
  const word = (index: number) => {
    const token = tokens[index];
    return token?.type === "word" ? token.text.toUpperCase() : undefined;
  };
  const isMark = (index: number, text: string) =>
    tokens[index]?.type === "mark" && tokens[index].text === text;

  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token.type !== "word") return;
    switch (token.text.toUpperCase()) {
      case "COLLATE":
      case "COLLATION_CONNECTION":
      case "COLLATION_DATABASE": {
        const name = isMark(index + 1, "=") ? tokens[index + 2] : next;
        if (name === undefined || !ownCollation.test(name.text)) return;
        add("collation", name.text, name, name, `collation ${name.text}`);
        return;
      }
      case "CHARSET":
      case "SET": {
        if (token.text.toUpperCase() === "SET" && word(index + 1) === "SQL_MODE") {
          const mode = tokens[index + 3];
          if (mode?.type === "string" && ownModes.test(mode.text)) {
            add("sql mode", mode.text, mode, mode);
          }
          return;
        }
        const name = isMark(index + 1, "=") ? tokens[index + 2] : next;
        if (name?.type === "word" && name.text.toLowerCase() === "gb18030") {
          add("charset", "gb18030", name, name);
        }
        return;
      }
      case "_UTF8MB4":
        if (token.text === "_utf8mb4" && next?.type === "string" && next.start === token.end) {
          add("introducer", token.text, token, token);
        }
        return;
      case "LATERAL":
        add("lateral", "LATERAL", token, token);
        return;
    }
  });
  if (word(0) === "CREATE" && tokens.slice(1, 4).some(({ text }) => /^TABLE$/i.test(text))) {
    inTable(tokens, add);
  }
  return withoutNested(found.map((one) => ({ ...one, end: pastComment(head, one) })));
}

/** What takes the beginning of a conditional comment along takes its end along, too. */
function pastComment(head: string, { start, end }: Foreign): number {
  const text = head.slice(start, end);
  const isOpen = text.lastIndexOf("/*") > text.lastIndexOf("*/");
  const close = isOpen ? head.indexOf("*/", end) : -1;
  return close < 0 ? end : close + 2;
}

type Add = (kind: ForeignKind, name: string, first: Token, last: Token, need?: string) => void;

/** An element of a table's list, a column or a key, with the comma before it. */
interface Element {
  readonly comma: Token | undefined;
  readonly tokens: Token[];
}

function inTable(tokens: readonly Token[], add: Add): void {
  const { elements, options } = partsOf(tokens);
  for (const { comma, tokens: all } of elements) {
    const words = all.map(({ type, text }) => type === "word" ? text.toUpperCase() : "");
    const has = (...wanted: readonly string[]) => {
      const at = words.findIndex((_, index) =>
        wanted.every((word, offset) => words[index + offset] === word)
      );
      return at < 0 ? undefined : at;
    };
    const [first, last] = [comma ?? all[0]!, all.at(-1)!];
    const name = all.find(({ type }) => type === "name")?.text ?? "";
    if (all[0]?.type === "name") {
      inColumn(all, words, add);
    } else if (has("KEY") !== undefined && hasExpression(all)) {
      add("key of an expression", name, first, last, `key ${name} of an expression`);
    } else if (words[0] === "PERIOD") {
      add(words[2] === "SYSTEM_TIME" ? "system versioning" : "period", "PERIOD", all[0]!, last);
    } else if (has("CHECK") !== undefined && has("NOT", "ENFORCED") !== undefined) {
      add("check that is not enforced", name, first, last, `check ${name} that is not enforced`);
    }
    const ignored = has("IGNORED");
    if (ignored !== undefined && all[0]?.type !== "name") {
      add("ignored key", name, all[ignored]!, all[ignored]!);
    }
    const parser = has("WITH", "PARSER");
    if (parser !== undefined) {
      const named = all[parser + 2]!;
      add("parser", named.text, all[parser]!, named, `parser ${named.text}`);
    }
    const hidden = has("INVISIBLE");
    if (hidden !== undefined) add("invisible", name, all[hidden]!, all[hidden]!);
    all.forEach((token, index) => {
      if (!ownFunctions.includes(words[index]!) || all[index + 1]?.text !== "(") return;
      const end = closing(all, index + 1);
      const isPattern = words[index] === "REGEXP_LIKE" &&
        callArguments(all, index + 1).length === 2;
      if (isPattern) add("pattern", token.text, token, all[end]!);
      else add("function", token.text, token, token, `function ${token.text.toLowerCase()}`);
    });
  }
  inOptions(options, add);
}

function inColumn(all: readonly Token[], words: readonly string[], add: Add): void {
  const [, type] = all;
  if (ownTypes.includes(words[1]!)) {
    add("type", type!.text.toLowerCase(), type!, type!, `type ${type!.text.toLowerCase()}`);
  }
  words.forEach((word, index) => {
    const next = all[index + 1];
    if (word === "SECONDARY" && words[index - 1] === "NOT") {
      add("secondary engine", "", all[index - 1]!, all[index]!);
    } else if (word === "ROW" && ["START", "END"].includes(words[index + 1]!)) {
      add("system versioning", "", all[index]!, all[index + 1]!);
    } else if (word === "NEXTVAL" && next?.text === "(") {
      add("sequence", "", all[index]!, next);
    } else if (word === "DEFAULT" && next !== undefined && all[index + 2]?.text === "(") {
      // MySQL takes an expression in parentheses only.
      if (next.type !== "word" || /^(?:current_timestamp|now|nextval)$/i.test(next.text)) return;
      add("default", "", next, all[closing(all, index + 2)] ?? next);
    } else if (word === "DEFAULT" && next?.type === "string" && largeTypes.test(words[1]!)) {
      add("default", "", next, next);
    }
  });
}

function inOptions(options: readonly Token[], add: Add): void {
  options.forEach((token, index) => {
    const text = token.text.toUpperCase();
    const value = options[index + 1]?.text === "=" ? options[index + 2] : undefined;
    if (text === "SYSTEM" && options[index + 1]?.text.toUpperCase() === "VERSIONING") {
      add("system versioning", "", token, options[index + 1]!);
    } else if (value === undefined) {
      return;
    } else if (text === "SECONDARY_ENGINE") {
      add("secondary engine", value.text, token, value);
    } else if (text === "ENCRYPTION" && value.text.toUpperCase() === "Y") {
      add("encryption", "", token, value);
    } else if (token.type === "name" || ownOptions.includes(text)) {
      // MariaDB quotes the names of options that engines bring.
      add("table option", token.text, token, value);
    }
  });
}

/** A table's columns and keys, and what stands behind them up to the partitions. */
function partsOf(tokens: readonly Token[]): { elements: Element[]; options: Token[] } {
  const elements: Element[] = [];
  const options: Token[] = [];
  let depth = 0;
  let isDone = false;
  let current: Element | undefined;
  for (const token of tokens) {
    const mark = token.type === "mark" ? token.text : "";
    if (isDone) {
      if (token.type === "word" && token.text.toUpperCase() === "PARTITION") break;
      options.push(token);
      continue;
    }
    if (mark === ")") depth--;
    if (depth === 0) isDone = mark === ")";
    if (depth === 1 && mark === "," || depth === 0 && mark === "(") {
      current = { comma: mark === "," ? token : undefined, tokens: [] };
      elements.push(current);
    } else if (depth > 0) {
      current?.tokens.push(token);
    }
    if (mark === "(") depth++;
  }
  return { elements: elements.filter(({ tokens }) => tokens.length > 0), options };
}

/** Whether a part of a key is an expression, which stands in parentheses of its own. */
function hasExpression(all: readonly Token[]): boolean {
  const list = all.findIndex(({ type, text }) => type === "mark" && text === "(");
  let depth = 0;
  return all.slice(list).some(({ type, text }, index, rest) => {
    if (type !== "mark") return false;
    if (text === ")") depth--;
    const before = rest[index - 1];
    const isPart = depth === 1 && text === "(" && before?.type === "mark" &&
      ["(", ","].includes(before.text);
    if (text === "(") depth++;
    return isPart;
  });
}

/** The arguments of a call, as texts to put into another one. @returns where each begins and ends */
export function callArguments(
  all: readonly Token[],
  open: number,
): { start: number; end: number }[] {
  const close = closing(all, open);
  const found = [{ start: all[open]!.end, end: all[close]?.start ?? 0 }];
  let depth = 0;
  for (const { type, text, start, end } of all.slice(open, close)) {
    if (type !== "mark") continue;
    if (text === "(") depth++;
    if (text === ")") depth--;
    if (text !== "," || depth !== 1) continue;
    found.at(-1)!.end = start;
    found.push({ start: end, end: all[close]?.start ?? 0 });
  }
  return found;
}

/** The index of the parenthesis that closes the one at an index. */
function closing(all: readonly Token[], from: number): number {
  let depth = 0;
  return all.findIndex(({ type, text }, index) => {
    if (index < from || type !== "mark") return false;
    if (text === "(") depth++;
    if (text === ")") depth--;
    return depth === 0;
  });
}

/** What is left out as a whole takes along what is in it. */
function withoutNested(found: readonly Foreign[]): Foreign[] {
  const sorted = found.toSorted((a, b) => a.start - b.start || b.end - a.end);
  let end = -1;
  return sorted.filter((one) => {
    // What a default has in it changes, too, but for the parentheses around it.
    if (one.start < end) return false;
    end = one.end;
    return true;
  });
}
