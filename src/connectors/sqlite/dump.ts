import { open } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Bytes } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import { withTempDir } from "../../core/temp.ts";
import type { DumpPlan, DumpResult, Emit } from "../../contracts/connector.ts";
import type { Position } from "../../contracts/manifest.ts";
import { checkFile } from "./check.ts";
import { openDatabase } from "./database.ts";
import { readPosition } from "./inspect.ts";
import { readInventory } from "./inventory.ts";
import { plainName } from "./options.ts";
import { type Source, type SourceOptions, withSource } from "./source.ts";
import { formatId } from "./walker.ts";

/**
 * Copies a database with SQLite's online backup into a temporary file, checks the copy, and emits
 * its bytes. Writers go on meanwhile in WAL mode; with a rollback journal they wait for the copy.
 *
 * It cannot stream: SQLite writes pages of the copy in an order of its own.
 */
export async function dump(
  path: string,
  plan: DumpPlan,
  emit: Emit,
  o: SourceOptions & { runtime: Runtime },
): Promise<DumpResult> {
  if (plan.kind !== "full") {
    throw new BackupError("usage/kind-unsupported", `SQLite has no ${plan.kind} backup`, {
      hint: "Use the strategy full.",
    });
  }
  const needBytes = await withSource(path, o, ({ bytes }) => Promise.resolve(bytes));
  return await withTempDir(o.runtime, needBytes, async (folder) => {
    const copy = join(folder, "copy.db");
    const { to, consistentAt, name } = await withSource(path, o, async (source) => {
      const to = await readPosition(source);
      const consistentAt = o.runtime.now();
      await copyTo(copy, source, plan.onPrepared, o);
      return { to, consistentAt, name: basename(source.path) };
    });
    const { problems, warnings } = await checkFile(copy, o);
    if (problems.length > 0) throw damaged(path, problems);
    const inventory = { databases: [await inventoryOf(copy, name, o)] };
    const head = {
      role: "dump",
      databases: [name],
      format: formatId,
      slug: plainName(name),
    } as const;
    await emit(head, fileBytes(copy, o));
    return { to, consistentAt, inventory, omitted: [], warnings } satisfies DumpResult & {
      to: Position;
    };
  });
}

async function copyTo(
  copy: string,
  source: Source,
  onPrepared: DumpPlan["onPrepared"],
  o: SourceOptions,
): Promise<void> {
  await source.database.backupTo(copy, (part) => onPrepared?.(Math.round(part * source.bytes)));
  if (source.bytes > 0) return;
  // The copy of an empty file is empty; one page makes it a database that can be told from a loss.
  const database = await openDatabase(copy, "rw", o);
  try {
    await database.exec("PRAGMA user_version = 0");
  } finally {
    await database.close();
  }
}

async function inventoryOf(copy: string, name: string, o: SourceOptions) {
  const database = await openDatabase(copy, "ro", o);
  try {
    return await readInventory(name, database);
  } finally {
    await database.close();
  }
}

function damaged(path: string, problems: readonly string[]): BackupError {
  return new BackupError(
    "dump/damaged-source",
    `The database "${path}" is damaged: ${problems.slice(0, 3).join("; ")}`,
    {
      details: { problems },
      hint: "Nothing was backed up. Restore an earlier backup, or try `sqlite3 FILE .recover`.",
    },
  );
}

/** Reads a file in one reused buffer. */
async function* fileBytes(path: string, { signal }: SourceOptions): Bytes {
  const buffer = new Uint8Array(1024 * 1024);
  const handle = await open(path, "r");
  try {
    while (true) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}
