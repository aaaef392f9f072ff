import { inspect } from "node:util";
import { configure, dispose, type LogRecord, type Sink } from "@logtape/logtape";
import { BackupError } from "../core/errors.ts";
import type { Secrets } from "../core/secret.ts";
import type { LogSettings } from "../config/model.ts";

/** Where log lines go. */
export interface LogOptions {
  readonly settings: LogSettings & Required<Pick<LogSettings, "level">>;
  readonly secrets: Secrets;
  /** Writes a line to standard error, when the settings name no file. */
  readonly write: (line: string) => void;
  /** True where a person sees the outcome on the same terminal: it is not logged there as well. */
  readonly isOutcomeShown: boolean;
}

/**
 * Sets the process's log up, or anew. Every line passes the redactor, whatever it was made of.
 *
 * @throws BackupError `config/log-file`
 */
export async function openLog(o: LogOptions): Promise<void> {
  const sink = await openSink(o);
  await configure({
    reset: true,
    sinks: { out: sink },
    loggers: [
      { category: ["dbbackup"], lowestLevel: o.settings.level, sinks: ["out"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["out"] },
    ],
  });
}

/** Writes out what is still buffered and closes the file. */
export async function closeLog(): Promise<void> {
  await dispose();
}

/** One line of JSON: time, level, message, and the properties (run, job, database, …). */
export function formatJson(record: LogRecord): string {
  const { time, level, message, ...rest } = {
    ...safeProperties(record.properties),
    time: new Date(record.timestamp).toISOString(),
    level: record.level,
    message: textOf(record.message),
  };
  return JSON.stringify({ time, level, message, ...rest });
}

/** One line for people; run, job and database stand behind the message. */
export function formatText(record: LogRecord): string {
  const context = contextKeys.flatMap((key) => {
    const value = record.properties[key];
    return value === undefined ? [] : [`${key}=${valueText(value)}`];
  });
  const where = context.length === 0 ? "" : ` [${context.join(" ")}]`;
  const time = new Date(record.timestamp).toISOString();
  return `${time} ${record.level.padEnd(7)} ${textOf(record.message)}${where}`;
}

const contextKeys = ["run", "job", "database", "destination"] as const;

async function openSink(
  { settings, secrets, write, isOutcomeShown }: LogOptions,
): Promise<Sink> {
  const format = settings.format === "json" ? formatJson : formatText;
  const line = (record: LogRecord) => `${oneLine(secrets.redact(format(record)))}\n`;
  if (settings.file === undefined) {
    return (record) => {
      if (!isOutcomeShown || record.properties["isOutcome"] !== true) write(line(record));
    };
  }
  const { path, maxBytes, keep } = settings.file;
  try {
    const { getRotatingFileSink } = await import("@logtape/file");
    const toFile = getRotatingFileSink(path, {
      formatter: line,
      maxSize: maxBytes,
      // It counts the old ones, and `keep` the current one, too.
      maxFiles: keep - 1,
      // Each line is in the file at once: the last ones before a crash matter most.
      bufferSize: 0,
    });
    return orElse(toFile, (record, error, isFirst) => {
      const why = error instanceof Error ? error.message : String(error);
      if (isFirst) {
        write(`warning: Cannot write the log file "${path}": ${why}; what it lacks is told here\n`);
      }
      write(line(record));
    });
  } catch (cause) {
    throw new BackupError("config/log-file", `Cannot write the log file "${path}"`, {
      cause,
      hint: "Make its folder, and let this user write it, or leave log.file and --log-file out.",
    });
  }
}

/** A sink whose failures do not end in silence, as they would in the library. */
function orElse(
  sink: Sink & Disposable,
  failed: (record: LogRecord, error: unknown, isFirst: boolean) => void,
): Sink & Disposable {
  let hasFailed = false;
  const guarded = (record: LogRecord) => {
    try {
      sink(record);
    } catch (error) {
      failed(record, error, !hasFailed);
      hasFailed = true;
    }
  };
  return Object.assign(guarded, { [Symbol.dispose]: () => sink[Symbol.dispose]() });
}

/** A value from outside must not be able to start a line of its own. */
function oneLine(text: string): string {
  return text.replaceAll("\r", "").replaceAll("\n", "\\n");
}

function textOf(message: readonly unknown[]): string {
  return message.map((part) => valueText(part)).join("");
}

function valueText(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return value.message;
  return inspect(value, { breakLength: Infinity, depth: 4 });
}

function safeProperties(
  { isOutcome: _, ...properties }: Record<string, unknown>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [key, safeValue(value)]),
  );
}

/** Errors as their messages; what JSON cannot hold as text. */
function safeValue(value: unknown): unknown {
  if (value instanceof Error) return value.message;
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  try {
    return JSON.parse(JSON.stringify(value));
  } catch {
    return inspect(value, { breakLength: Infinity, depth: 4 });
  }
}
