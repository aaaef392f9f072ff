import { basename, join } from "node:path";
import { BackupError } from "../../core/errors.ts";
import { withTempDir } from "../../core/temp.ts";
import type { DumpPlan, DumpResult, Emit } from "../../contracts/dump.ts";
import { compareBlocks, type Comparison, type KnownDigests } from "./changes/compare.ts";
import { emitFull, noDigests } from "./changes/full.ts";
import { emitIncrement, readDigests } from "./changes/increment.ts";
import { continuationOf, readGeneration } from "./changes/position.ts";
import type { DumpOptions, Work } from "./changes/work.ts";
import { checkFile } from "./check.ts";
import { openDatabase } from "./database.ts";
import { readInventory } from "./inventory.ts";
import { tableBytes } from "./pages.ts";
import { type Source, type SourceOptions, withSource } from "./source.ts";

/**
 * Copies a database with SQLite's online backup into a temporary file, checks the copy, and emits
 * its bytes, or of an increment the blocks that differ from the parent's. Writers go on meanwhile in
 * WAL mode; with a rollback journal they wait for the copy.
 *
 * It cannot stream: SQLite writes pages of the copy in an order of its own.
 */
export async function dump(
  path: string,
  plan: DumpPlan,
  emit: Emit,
  o: DumpOptions,
): Promise<DumpResult> {
  const needBytes = await withSource(path, o, ({ bytes }) => Promise.resolve(bytes));
  // The digests are the 128th part of the copy, at most.
  return await withTempDir(o.runtime, needBytes + needBytes / 64, async (folder) => {
    const known = plan.kind === "full" ? undefined : await readDigests(plan, folder, o);
    const copied = await copyOf(path, join(folder, "copy.db"), plan, o);
    plan.onChecking?.();
    const base = known ??
      (plan.isBase === true ? await noDigests(copied.generation, folder, o) : undefined);
    const comparing = base && compareBlocks(copied.copy, base, { ...o, folder });
    // It goes on while SQLite checks the copy on a thread of its own.
    comparing?.catch(() => {});
    try {
      return await emitChecked({ path, plan, known, comparing, work: copied }, emit, o);
    } finally {
      await comparing?.catch(() => {});
    }
  });
}

/** A copy that is being compared and is not checked yet. */
interface Copied {
  readonly path: string;
  readonly plan: DumpPlan;
  readonly known: KnownDigests | undefined;
  readonly comparing: Promise<Comparison> | undefined;
  readonly work: Work & { readonly consistentAt: Date };
}

/** Checks the copy, and emits it or what differs in it. */
async function emitChecked(
  { path, plan, known, comparing, work }: Copied,
  emit: Emit,
  o: DumpOptions,
): Promise<DumpResult> {
  const { copy, name, consistentAt } = work;
  // A full backup's copy is compared with its indexes, too, which takes three times as long as
  // everything else.
  const { problems, warnings } = await checkFile(copy, known === undefined, o);
  if (problems.length > 0) throw damaged(path, problems);
  const inventory = { databases: [await inventoryOf(copy, name, o)] };
  const span = known === undefined
    ? await emitFull(comparing, work, emit, o)
    : await emitIncrement(plan, await comparing!, work, emit);
  return { ...span, consistentAt, inventory, omitted: [], warnings };
}

/** The file's copy, as it was at one moment. */
async function copyOf(
  path: string,
  copy: string,
  { onPrepared, parent }: DumpPlan,
  o: DumpOptions,
) {
  return await withSource(path, o, async (source) => {
    const generation = await readGeneration(source);
    const continues = parent && continuationOf(parent.manifest, generation);
    if (continues?.isPossible === false) {
      throw new BackupError("dump/cannot-continue", continues.reason);
    }
    const consistentAt = o.runtime.now();
    await copyTo(copy, source, onPrepared, o);
    return { copy, generation, consistentAt, name: basename(source.path) };
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
    const { objects, ...inventory } = await readInventory(name, database);
    const sizes = await tableBytes(database);
    return {
      ...inventory,
      objects: objects.map((object) => {
        const bytes = object.type === "table" ? sizes.get(object.name) : undefined;
        return bytes === undefined ? object : { ...object, bytes };
      }),
    };
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
