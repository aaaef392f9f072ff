import { tokenize } from "./tokens.ts";

/** A column of a dumped table. */
export interface DumpedColumn {
  readonly name: string;
  /** The first word of its type, in upper case. */
  readonly type: string;
  /** Whether the server computes its values. */
  readonly isGenerated: boolean;
}

/** The columns that a `CREATE TABLE` of the tools makes, in their order. */
export function readColumns(sql: string): DumpedColumn[] {
  const columns: { name: string; type: string; isGenerated: boolean }[] = [];
  let depth = 0;
  let isFirst = false;
  let current: (typeof columns)[number] | undefined;
  for (const { type, text } of tokenize(sql, Infinity)) {
    if (type === "mark" && (text === "(" || text === ")")) {
      depth += text === "(" ? 1 : -1;
      // Behind the columns come options, and partitions with lists of their own.
      if (depth === 0) break;
      isFirst ||= depth === 1 && columns.length === 0 && current === undefined && text === "(";
    } else if (depth === 1 && type === "mark" && text === ",") {
      isFirst = true;
      current = undefined;
    } else if (depth === 1 && isFirst) {
      isFirst = false;
      // Keys and constraints begin with a word, since the tools quote every name.
      if (type !== "name") continue;
      current = { name: text, type: "", isGenerated: false };
      columns.push(current);
    } else if (depth === 1 && type === "word" && current !== undefined) {
      current.type ||= text.toUpperCase();
      current.isGenerated ||= text.toUpperCase() === "GENERATED";
    }
  }
  return columns;
}
