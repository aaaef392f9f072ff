// A database of one's own: a file of JSON, one document a line. It is a worked example of
// `defineConnector`, and passes the contract tests of tests/contracts/connector.ts.
import { appendFile, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { type ArtifactContents, type ArtifactFormat, BackupError, type Bytes } from "dbbackup";
import {
  type Connector,
  type ConnectorKind,
  type DatabaseInventory,
  defineConnector,
} from "dbbackup";
import { type RestorableChain, type RestorePlan, stepByStep, type Walker, z } from "dbbackup";

const options = z.strictObject({ path: z.string() });
const formatId = "jsonl";

const format: ArtifactFormat = { id: formatId, suffix: "jsonl", walk };

const kind: ConnectorKind<{ path: string }> = {
  kind: "json-lines",
  title: "JSON lines",
  schemes: ["jsonl"],
  options,
  paths: ["path"],
  settings: [],
  omissions: [],
  formats: [format],
  fromUrl(url) {
    const path = url.replace(/^jsonl:(\/\/)?/, "");
    if (path !== "") return { path: resolve(path) };
    throw new BackupError("usage/bad-url", `"${url}" names no file`, {
      hint: "Write jsonl:/path/of/file.jsonl.",
    });
  },
  open: ({ path }) => Promise.resolve(openJsonLines(path)),
  recipe: (chain) =>
    stepByStep(chain, ({ rawBytesCommand }) => [
      "# The last line is the mark that the dump is complete; it goes.",
      `${rawBytesCommand} | sed '$d' > restored.jsonl`,
    ]),
  jobName: ({ path }) => basename(path, ".jsonl"),
};

/** A file with one JSON document a line. */
export const jsonLines = defineConnector(kind);

function openJsonLines(path: string): Connector {
  const database = basename(path);
  return {
    location: `jsonl:${path}`,
    async inspect() {
      const { size } = await stat(path).catch((cause) => {
        throw new BackupError("connection/no-database", `There is no file "${path}"`, { cause });
      });
      return {
        sourceId: path,
        flavour: "JSON lines",
        version: "1.0",
        tools: [],
        privileges: [],
        omissions: [],
        capabilities: ["full"],
        clockOffsetMs: 0,
        estimatedBytes: size,
        warnings: [],
        // A restore to this file and a backup of it are never to meet.
        locks: [await realpath(path)],
      };
    },
    databases: () => Promise.resolve([database]),
    async dump(_, emit, { signal }) {
      const consistentAt = new Date();
      const head = {
        role: "dump",
        databases: [database],
        format: formatId,
        slug: database,
      } as const;
      const { databases } = await emit(head, withEnd(linesOf(path, signal)));
      // The bytes do not name their database.
      const named = databases.map(({ objects }) => ({ database, objects }));
      return { consistentAt, inventory: { databases: named }, omitted: [], warnings: [] };
    },
    async planRestore(chain, { isOverwrite, backupId }): Promise<RestorePlan> {
      const from = chain[0]!.artifacts[0]!.databases[0]!;
      const size = await stat(path).then(({ size }) => size, () => undefined);
      if (size !== undefined && size > 0 && !isOverwrite) {
        throw new BackupError("restore/not-empty", `"${path}" is there and not empty`, {
          hint: "Restore to another path, or pass --overwrite.",
        });
      }
      const mode = size === undefined ? "create" : size === 0 ? "fill" : "swap";
      const kept = mode === "swap" ? { keptAs: `${path}_before_${backupId}` } : {};
      const steps = [{ from, to: path, mode, ...kept }] as const;
      const locks = [await realpath(path).catch(() => path)];
      return { steps, isCheckedFirst: false, warnings: [], target: `JSON lines ${path}`, locks };
    },
    async restore(chain, { steps }, { backupId }, { signal }) {
      const beside = `${path}_restore_${backupId}`;
      const [step] = steps;
      try {
        await rm(beside, { force: true });
        await writeLines(beside, chain, signal);
        if (step?.keptAs !== undefined) await rename(path, step.keptAs);
        await rename(beside, path);
      } finally {
        await rm(beside, { force: true });
      }
      return { steps, failures: [], left: [], differences: [], warnings: [], followUps: [] };
    },
    inventory: async (name) => await count(name, path),
    close: () => Promise.resolve(),
  };
}

const lineFeed = 10;
const endMark = '{"end":';

async function* linesOf(path: string, signal: AbortSignal): Bytes {
  const file = await open(path);
  try {
    const buffer = new Uint8Array(65_536);
    while (true) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** Adds the line that shows that a dump is whole. */
async function* withEnd(bytes: Bytes): Bytes {
  let lines = 0;
  for await (const chunk of bytes) {
    for (const byte of chunk) if (byte === lineFeed) lines++;
    yield chunk;
  }
  yield new TextEncoder().encode(`${endMark}${lines}}\n`);
}

/** Counts lines, and takes nothing for the end but the right last line. */
function walk(): Walker {
  let lines = 0;
  let last = "";
  let line = "";
  const decoder = new TextDecoder("utf-8");
  return {
    push(chunk) {
      const parts = (line + decoder.decode(chunk, { stream: true })).split("\n");
      line = parts.pop()!;
      lines += parts.length;
      last = parts.at(-1) ?? last;
    },
    end(): ArtifactContents {
      if (line === "" && last === `${endMark}${lines - 1}}`) {
        return { databases: [inventoryOf("", lines - 1)] };
      }
      throw new BackupError("verification/truncated", "The dump has no last line", {
        hint: "Restore another backup.",
      });
    },
  };
}

async function writeLines(
  path: string,
  chain: RestorableChain,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of chain[0]!.artifacts[0]!.open({ signal })) await appendFile(path, chunk);
  const text = await readFile(path, "utf8");
  const file = await open(path, "r+");
  try {
    // The mark of the end is the dump's, not the database's.
    await file.truncate(Buffer.byteLength(text.slice(0, text.lastIndexOf(endMark))));
    await file.sync();
  } finally {
    await file.close();
  }
}

async function count(database: string, path: string): Promise<DatabaseInventory> {
  const text = await readFile(path, "utf8");
  return inventoryOf(database, text.split("\n").length - 1);
}

function inventoryOf(database: string, lines: number): DatabaseInventory {
  const object = { type: "collection", name: "lines", count: lines, isExact: true } as const;
  return { database, objects: [object] };
}
