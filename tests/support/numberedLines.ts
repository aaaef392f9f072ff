import { readFile, stat, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { z } from "zod";
import type { Positions } from "../../src/contracts/changes.ts";
import type { Connector, ConnectorKind } from "../../src/contracts/connector.ts";
import type { ArtifactHead, DumpPlan, DumpResult, Emit } from "../../src/contracts/dump.ts";
import type { RestorePlan } from "../../src/contracts/restore.ts";
import type { ArtifactFormat } from "../../src/contracts/format.ts";
import type { Kind, Position } from "../../src/contracts/manifest.ts";
import { BackupError } from "../../src/core/errors.ts";

// Imports nothing that "dbbackup" does not export: a test runs it as a plugin, too.
/**
 * A database for the tests of chains: a file of lines `NUMBER MILLISECONDS TEXT`, where each line is a
 * change. A full backup is the whole file, an increment the lines since. What the source lets go of is
 * in a file beside it.
 */
export interface LinesState {
  /** The history that its positions are of; a new one is what a failover makes. */
  epoch: number;
  /** Lines before this one are gone from the log. */
  keptFrom: number;
  /** The ids that were acknowledged, in order. */
  readonly acknowledged: string[];
  /** Called before a dump ends, for what happens meanwhile. */
  beforeEnd?: () => Promise<void> | void;
  /** What it keeps for a job and drops with `reset`; absent: it has no `reset`. */
  kept?: string[];
  /** Called when something is acknowledged. */
  onAcknowledge?: (id: string) => void;
  /** Dumps of increments find that they cannot go on after all. */
  isStuck?: boolean;
  /** Increments begin one line late: a gap. */
  hasGap?: boolean;
  /** Another role for the artifacts of increments. */
  role?: string;
  kinds: readonly Kind[];
  /** What each dump was asked for. */
  readonly plans: DumpPlan[];
}

/** A state in which everything works. */
export function linesState(over: Partial<LinesState> = {}): LinesState {
  return {
    epoch: 1,
    keptFrom: 0,
    acknowledged: [],
    kinds: ["full", "differential", "incremental"],
    plans: [],
    ...over,
  };
}

const format: ArtifactFormat = {
  id: "lines",
  suffix: "lines",
  walk() {
    let last = "\n";
    return {
      push: (chunk) => void (last = new TextDecoder().decode(chunk).slice(-1)),
      end() {
        if (last === "\n") return { databases: [] };
        throw new BackupError("verification/truncated", "The last line does not end");
      },
    };
  },
};

const positionSchema = z.looseObject({
  type: z.literal("line"),
  epoch: z.number(),
  line: z.number(),
});

const positions: Positions = {
  compare(a, b) {
    const [one, other] = [positionSchema.safeParse(a).data, positionSchema.safeParse(b).data];
    if (one === undefined || other === undefined || one.epoch !== other.epoch) return undefined;
    return one.line - other.line;
  },
  parse(text) {
    const match = /^(\d+)@(\d+)$/.exec(text);
    if (match !== null) return { type: "line", line: Number(match[1]), epoch: Number(match[2]) };
    throw new BackupError("usage/bad-position", `Cannot read the position "${text}"`, {
      hint: "Write it as LINE@EPOCH.",
    });
  },
  format: ({ line, epoch }) => `${String(line)}@${String(epoch)}`,
};

/** The kind; its connectors share the state. */
export function linesKind(state: LinesState): ConnectorKind<{ path: string }> {
  return {
    kind: "lines",
    title: "Lines",
    schemes: ["lines"],
    options: z.strictObject({ path: z.string() }),
    settings: ["exclude"],
    omissions: [],
    formats: [format],
    roles: ["dump", "log"],
    kinds: state.kinds,
    positions,
    fromUrl(url) {
      if (!url.startsWith("lines:/")) throw new BackupError("usage/bad-url", `Cannot read ${url}`);
      return { path: url.slice("lines:".length) };
    },
    open: ({ path }) => Promise.resolve(openLines(path, state)),
    recipe: (chain) => [{
      title: "Put the lines together",
      reads: chain.flatMap(({ artifacts }) => artifacts),
      commands: [
        `{ ${
          chain.flatMap(({ artifacts }) => artifacts).map(({ rawBytesCommand }) => rawBytesCommand)
            .join("; ")
        }; } > restored.lines`,
      ],
    }],
    jobName: ({ path }) => basename(path),
  };
}

interface Line {
  readonly number: number;
  readonly at: Date;
  readonly text: string;
}

async function readLines(path: string): Promise<Line[]> {
  const content = await readFile(path, "utf8");
  return content.split("\n").filter((line) => line !== "").map((text) => {
    const [number, at] = text.split(" ");
    return { number: Number(number), at: new Date(Number(at)), text };
  });
}

function openLines(path: string, state: LinesState): Connector {
  const location = `lines:${path}`;
  return {
    location,
    async inspect({ since }) {
      const lines = await linesAt(path);
      const known = positionSchema.safeParse(since?.parent.position.to).data;
      return {
        sourceId: path,
        flavour: "Lines",
        version: "1.0",
        tools: [],
        privileges: [],
        omissions: [],
        capabilities: state.kinds,
        position: positionOf(lines.length, state),
        clockOffsetMs: 0,
        warnings: [],
        ...since === undefined ? {} : { continues: continuationOf(known, lines.length, state) },
      };
    },
    databases: () => Promise.resolve([basename(path)]),
    dump: (plan, emit) => dump(path, plan, emit, state),
    async acknowledge({ id, position, kind }) {
      state.onAcknowledge?.(id);
      state.acknowledged.push(id);
      const to = positionSchema.parse(position.to);
      // What a full backup's differentials need stays.
      if (kind !== "differential" && to.epoch === state.epoch) {
        state.keptFrom = Math.max(state.keptFrom, to.line);
      }
      await Promise.resolve();
    },
    ...state.kept === undefined ? {} : {
      reset: (job: string) =>
        Promise.resolve(state.kept!.splice(0).map((one) => `${one} of ${job}`)),
    },
    planRestore(_, { isOverwrite }) {
      return stat(path).then(
        ({ size }) => planOf(path, size === 0 ? "fill" : "replace", isOverwrite),
        () => planOf(path, "create", isOverwrite),
      );
    },
    async restore(chain, plan, { until }, o) {
      const texts: string[] = [];
      for (const { manifest, artifacts } of chain) {
        for (const artifact of artifacts.filter(({ role }) => role !== "inventory")) {
          const text = await collectText(artifact.open(o));
          if (manifest.kind === "full") texts.length = 0;
          // A differential has all since the full one, whatever else was restored on it.
          texts.push(text);
        }
      }
      const whole = texts.join("").split("\n").filter((line) => line !== "").filter((line) => {
        const [number, at] = line.split(" ").map(Number);
        if (until === undefined) return true;
        if ("at" in until) return at! <= until.at.getTime();
        return number! < positionSchema.parse(until.position).line;
      });
      await writeFile(path, whole.map((line) => `${line}\n`).join(""));
      return {
        steps: plan.steps,
        failures: [],
        left: [],
        differences: [],
        warnings: [],
        followUps: [],
      };
    },
    inventory: (database) => Promise.resolve({ database, objects: [] }),
    close: () => Promise.resolve(),
  };
}

async function linesAt(path: string): Promise<Line[]> {
  try {
    return await readLines(path);
  } catch (cause) {
    throw new BackupError("connection/no-database", `There is no file "${path}"`, { cause });
  }
}

function positionOf(line: number, { epoch }: LinesState): Position {
  return { type: "line", epoch, line };
}

function continuationOf(
  since: z.infer<typeof positionSchema> | undefined,
  length: number,
  { epoch, keptFrom }: LinesState,
) {
  const no = (reason: string) => ({ isPossible: false, reason }) as const;
  if (since === undefined) return no("the parent has no position");
  if (since.epoch !== epoch) return no(`the file is of epoch ${epoch}, not ${since.epoch}`);
  if (since.line > length) return no(`the file has ${length} lines, and the backup ${since.line}`);
  if (since.line < keptFrom) return no(`line ${since.line} was purged`);
  return { isPossible: true } as const;
}

async function dump(
  path: string,
  plan: DumpPlan,
  emit: Emit,
  state: LinesState,
): Promise<DumpResult> {
  state.plans.push(plan);
  if (!state.kinds.includes(plan.kind)) {
    throw new BackupError("usage/kind-unsupported", `Lines have no ${plan.kind} backup here`);
  }
  const lines = await readLines(path);
  const to = positionOf(lines.length, state);
  const database = basename(path);
  const isFull = plan.kind === "full";
  if (!isFull && state.isStuck === true) {
    throw new BackupError("dump/cannot-continue", "the log was taken away meanwhile");
  }
  const parent = plan.parent?.manifest;
  const from = isFull ? undefined : positionSchema.parse(parent?.position.to);
  const first = from === undefined ? 0 : from.line + (state.hasGap === true ? 1 : 0);
  const start = from === undefined ? undefined : { ...from, line: first };
  const text = lines.slice(first).map((line) => `${line.text}\n`).join("");
  const head: ArtifactHead = {
    role: isFull ? "dump" : state.role ?? "log",
    databases: [database],
    format: "lines",
    slug: database,
    ...start === undefined ? {} : { span: () => ({ from: start, to }) },
  };
  await emit(head, bytesOf(text));
  await state.beforeEnd?.();
  const last = lines.at(-1)?.at ?? new Date(0);
  const before = parent?.window?.to;
  return {
    ...start === undefined ? {} : { from: start },
    to,
    consistentAt: last,
    ...plan.isBase === true
      ? { window: { from: before === undefined ? last : new Date(before), to: last } }
      : {},
    inventory: { databases: [{ database, objects: [] }] },
    omitted: [],
    warnings: [],
  };
}

function planOf(
  path: string,
  mode: "create" | "fill" | "replace",
  isOverwrite: boolean,
): RestorePlan {
  if (mode === "replace" && !isOverwrite) {
    throw new BackupError("restore/not-empty", `"${path}" is not empty`);
  }
  const name = basename(path);
  return {
    steps: [{ from: name, to: path, mode, ...mode === "replace" ? { loses: "its lines" } : {} }],
    isCheckedFirst: mode === "replace",
    warnings: [],
    target: path,
    sourceId: path,
  };
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield new TextEncoder().encode(text);
}

async function collectText(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of bytes) text += decoder.decode(chunk, { stream: true });
  return text;
}
