import type { DrillAssertion } from "../../config/model.ts";
import type { Scratch } from "../../contracts/connector.ts";
import type { Abortable } from "../../core/bytes.ts";
import { ChildError, childText } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import { formatDuration } from "../../core/text.ts";
import type { DrillCheck } from "./types.ts";

type Found = Awaited<ReturnType<NonNullable<Scratch<unknown>["query"]>>>;

/**
 * Asks what was restored whether one assertion holds.
 *
 * @throws BackupError `restore/drill` where it cannot be asked
 */
export async function check(
  assertion: DrillAssertion,
  scratch: Scratch<unknown>,
  o: Abortable & { readonly runtime: Runtime },
): Promise<DrillCheck> {
  if ("command" in assertion) return await runCommand(assertion.command, scratch, o);
  if (scratch.query === undefined) {
    throw new BackupError("restore/drill", `There is no SQL at the ${scratch.location}`, {
      hint: "Give the job's drill a command instead.",
    });
  }
  const found = await scratch.query(assertion.sql, o);
  return { what: assertion.sql, ...compare(assertion, found, o.runtime.now()) };
}

/** Compares what a query gave with what it is to give. */
export function compare(
  assertion: Extract<DrillAssertion, { readonly sql: string }>,
  found: Found,
  now: Date,
): Pick<DrillCheck, "isMet" | "found"> {
  const text = textOf(found);
  if ("equals" in assertion) {
    return told(isEqual(found, assertion.equals), text, JSON.stringify(assertion.equals));
  }
  if ("atLeast" in assertion) {
    const isMet = found !== null && Number(found) >= assertion.atLeast;
    return told(isMet, text, `at least ${assertion.atLeast}`);
  }
  const { newerThanMs } = assertion;
  const at = timeOf(found);
  const isMet = at !== undefined && now.getTime() - at.getTime() <= newerThanMs;
  return told(isMet, text, `newer than ${formatDuration(newerThanMs)}`);
}

function told(isMet: boolean, text: string, wanted: string) {
  return { isMet, found: isMet ? text : `${text} instead of ${wanted}` };
}

function isEqual(found: Found, wanted: string | number | boolean): boolean {
  if (found === null) return false;
  // SQLite and MySQL have no booleans, and count in integers of their own.
  if (typeof wanted === "boolean") return Boolean(Number(found)) === wanted;
  if (typeof wanted === "number") return String(found).trim() !== "" && Number(found) === wanted;
  return textOf(found) === wanted;
}

function textOf(found: Found): string {
  if (found === null) return "nothing";
  return found instanceof Date ? found.toISOString() : String(found);
}

/** A time as databases give it: without a zone it is UTC, a number is seconds or milliseconds. */
function timeOf(found: Found): Date | undefined {
  if (found instanceof Date) return found;
  if (found === null || typeof found === "boolean") return undefined;
  const text = String(found).trim();
  if (/^\d+(?:\.\d+)?$/.test(text)) {
    const value = Number(text);
    // In milliseconds it is 2001 at this number, in seconds the year 5138.
    return new Date(value > 1e11 ? value : value * 1000);
  }
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?\s*(.*)$/.exec(
    text,
  );
  if (match === null) return undefined;
  const zone = (match[3] ?? "").replace(/^UTC$/i, "").replace(/^([+-]\d{2})$/, "$1:00");
  const at = new Date(`${match[1]}T${match[2] ?? "00:00"}${zone === "" ? "Z" : zone}`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

async function runCommand(
  command: string,
  { environment }: Scratch<unknown>,
  o: Abortable & { readonly runtime: Runtime },
): Promise<DrillCheck> {
  try {
    await childText({ command: "/bin/sh", args: ["-c", command], env: environment }, o);
    return { what: command, isMet: true, found: "exited 0" };
  } catch (error) {
    o.signal.throwIfAborted();
    if (!(error instanceof ChildError)) throw error;
    const { code, signal, stderr } = error.exit;
    const how = code === null ? `was ended by ${signal}` : `exited ${code}`;
    const last = stderr.trim().split("\n").at(-1) ?? "";
    return { what: command, isMet: false, found: last === "" ? how : `${how}: ${last}` };
  }
}
