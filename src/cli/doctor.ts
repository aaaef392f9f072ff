import { Buffer } from "node:buffer";
import { access, constants, mkdir, statfs } from "node:fs/promises";
import {
  type DatabaseDefinition,
  defaultStallTimeoutMs,
  type DestinationDefinition,
  type JobDefinition,
} from "../config/model.ts";
import { openWithLimits } from "../connectors/limits.ts";
import type { SourceInfo } from "../contracts/source.ts";
import { BackupError, type ErrorCode, toBackupError } from "../core/errors.ts";
import { briefPatience } from "../core/retry.ts";
import { formatBytes, formatDuration, listed } from "../core/text.ts";
import { openDestination } from "../jobs/shared/destinations.ts";
import { type IdentifiedSource, identifySource } from "../jobs/shared/source.ts";
import { probeStorage } from "../storage/probe.ts";
import { type ErrorJson, errorJson } from "./errors.ts";
import type { Session } from "./session.ts";

/** One thing that the doctor looked at. */
export interface Finding {
  /** `lacks`: works without, and would be safer with it. */
  readonly status: "ok" | "lacks" | "warning" | "error";
  readonly text: string;
}

/** What the doctor found out about one database, destination, job's encryption or folder. */
export interface Examination {
  readonly what: "database" | "destination" | "encryption" | "folder";
  readonly name: string;
  readonly findings: readonly Finding[];
  readonly codes: readonly ErrorCode[];
  /** The facts, for `--json`. */
  readonly facts: Readonly<Record<string, unknown>>;
}

// Less is no room for anything.
const leastFreeBytes = 1024 * 1024;
// Certificates and signed requests begin to fail around here.
const worryingOffsetMs = 30_000;

/**
 * Looks at a database: reachable, tools, privileges, and what a dump would leave out that no job
 * accepts.
 */
export async function examineDatabase(
  database: DatabaseDefinition,
  jobs: readonly JobDefinition[],
  session: Session,
): Promise<Examination> {
  const o = { signal: session.host.signal, runtime: session.runtime() };
  const base = { what: "database", name: database.name } as const;
  try {
    const connector = await openWithLimits(database, { answerMs: defaultStallTimeoutMs }, o);
    try {
      const [job] = jobs;
      const settings = job === undefined ? {} : job.settings;
      const info = await connector.inspect({ ...o, settings });
      const names = await connector.databases(o);
      const accepted = new Set(jobs.flatMap(({ accept }) => accept));
      const { findings, codes } = judge(info, accepted, o.runtime.now());
      findings.unshift(ok(`${info.flavour} ${info.version} at ${connector.location}`));
      const source = await identifySource(database, info, o);
      findings.push(ok(`its backups are identified by ${describeSource(source)}`));
      findings.push(ok(`databases: ${names.join(", ") || "none"}`));
      return { ...base, findings, codes, facts: { ...info, source, databases: names } };
    } finally {
      // What it said stands, whether the server hears the farewell or not.
      await connector.close().catch(() => {});
    }
  } catch (error) {
    session.host.signal.throwIfAborted();
    return failed(base, error, session);
  }
}

/** Looks at a destination: what it can do, by small objects that are removed; free space. */
export async function examineDestination(
  destination: DestinationDefinition,
  session: Session,
): Promise<Examination> {
  const o = {
    signal: session.host.signal,
    runtime: session.runtime(),
    patience: briefPatience,
  };
  const base = { what: "destination", name: destination.name } as const;
  try {
    const storage = await openDestination(destination, o);
    try {
      const id = Buffer.from(session.host.random(6)).toString("hex");
      const probed = await probeStorage(storage, `dbbackup-doctor-${id}/`, o);
      const free = await freeBytes(storage.location);
      const isWritable = probed.some(({ ability, status }) =>
        ability === "write" && status === "ok"
      );
      // Where it is, is no good news of a store that cannot be used.
      const findings: Finding[] = [...(isWritable ? [ok(storage.location)] : []), ...probed];
      if (free !== undefined) findings.push(ok(`${formatBytes(free)} free`));
      const facts = {
        location: storage.location,
        isWritable,
        freeBytes: free ?? null,
        abilities: Object.fromEntries(probed.map(({ ability, status }) => [ability, status])),
      };
      const codes = probed.flatMap(({ status, code }) =>
        status === "error" ? [code ?? "storage/failed" as const] : []
      );
      return { ...base, findings, codes, facts };
    } finally {
      await storage.close();
    }
  } catch (error) {
    session.host.signal.throwIfAborted();
    return failed(base, error, session);
  }
}

/** Looks at a folder of ours: there, or can be made; writable; free space. */
export async function examineFolder(
  name: string,
  path: string,
  session: Session,
): Promise<Examination> {
  const base = { what: "folder", name } as const;
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await access(path, constants.W_OK);
    const free = await freeBytes(path);
    const room = free === undefined ? "" : `, ${formatBytes(free)} free`;
    const findings: Finding[] = free !== undefined && free < leastFreeBytes
      ? [{ status: "warning", text: `${path} is full${room}` }]
      : [ok(`${path} can be written${room}`)];
    return {
      ...base,
      findings,
      codes: [],
      facts: { path, isWritable: true, freeBytes: free ?? null },
    };
  } catch (cause) {
    const error = new BackupError("storage/folder", `The ${name}, "${path}", cannot be written`, {
      cause,
      hint: `Make it, with this user as its owner, or set ${name} in the config.`,
    });
    return failed(base, error, session);
  }
}

function judge(
  info: SourceInfo,
  accepted: ReadonlySet<string>,
  now: Date,
): { findings: Finding[]; codes: ErrorCode[] } {
  const findings: Finding[] = [];
  const codes: ErrorCode[] = [];
  const complain = (code: ErrorCode, text: string) => {
    findings.push({ status: "error", text });
    codes.push(code);
  };
  for (const { name, path, version } of info.tools) {
    if (path === undefined) complain("dump/tool-missing", `${name} is not installed`);
    else findings.push(ok(`${name} ${version ?? "(version unknown)"} at ${path}`));
  }
  for (const { name, isGranted } of info.privileges) {
    if (isGranted) findings.push(ok(`privilege: ${name}`));
    else findings.push({ status: "warning", text: `missing privilege: ${name}` });
  }
  for (const { name, reason, objects, hint } of info.omissions) {
    const isNamed = (objects ?? []).every((object) => reason.includes(object));
    const which = objects === undefined || isNamed ? "" : ` (${listed(objects)})`;
    const text = `a dump leaves out ${name}: ${reason}${which}`;
    if (accepted.has(name)) findings.push({ status: "ok", text: `${text}; accepted` });
    else complain("dump/would-omit", hint === undefined ? text : `${text}. ${hint}`);
  }
  const { clockOffsetMs } = info;
  if (clockOffsetMs !== null) {
    const text = `its clock is ${describeOffset(clockOffsetMs)}`;
    const isFar = Math.abs(clockOffsetMs) > worryingOffsetMs;
    findings.push({ status: isFar ? "warning" : "ok", text });
  }
  findings.push(ok(`kinds of backup: ${info.capabilities.join(", ")}`));
  if (info.logSince !== undefined) {
    const keptMs = Math.max(0, now.getTime() - info.logSince.getTime());
    findings.push(ok(`its change log reaches back ${formatDuration(keptMs)}`));
  }
  for (const text of [...info.warnings, ...info.advice ?? []]) {
    findings.push({ status: "warning", text });
  }
  return { findings, codes };
}

function describeSource({ id, by }: IdentifiedSource): string {
  if (by === "server") return `the server's own id, ${id}`;
  return by === "name" ? `its source, "${id}"` : `its address, "${id}"; source: "NAME" names it`;
}

function describeOffset(ms: number): string {
  if (Math.abs(ms) < 1000) return "right";
  return `${(Math.abs(ms) / 1000).toFixed(1)} s ${ms > 0 ? "ahead" : "behind"}`;
}

/** A finding that all is well. */
export function ok(text: string): Finding {
  return { status: "ok", text };
}

/** What is told of something that could not be looked at. */
export function failed(
  base: { readonly what: Examination["what"]; readonly name: string },
  reason: unknown,
  session: Session,
): Examination {
  const error = toBackupError(reason);
  const json: ErrorJson = errorJson(error, session.secrets);
  const hint = error.hint === undefined ? "" : `\n  hint: ${error.hint}`;
  return {
    ...base,
    findings: [{ status: "error", text: `${error.message} (${error.code})${hint}` }],
    codes: [error.code],
    facts: { error: json },
  };
}

/** Free space where the location is a folder of this machine. */
async function freeBytes(location: string): Promise<number | undefined> {
  const space = await statfs(location).catch(() => undefined);
  return space === undefined ? undefined : space.bavail * space.bsize;
}
