import { BackupError } from "../../core/errors.ts";
import type { RecipeBackup, RecipeChain, RecipeStep } from "../../contracts/recipe.ts";
import { isFile, isRuns } from "./changes/apply.ts";
import { unitBytes } from "./changes/blocks.ts";
import { basePositionSchema } from "./changes/position.ts";

/** The commands that turn a chain into a database file again. */
export function recipe(chain: RecipeChain): RecipeStep[] {
  const [full, ...increments] = chain;
  const reads = full!.artifacts.filter(({ artifact }) => isFile(artifact));
  const name = JSON.stringify(reads[0]?.artifact.databases[0] ?? "");
  const whole = reads.map(({ rawBytesCommand }) => `${rawBytesCommand} > restored.db`);
  if (increments.length === 0) {
    return [{
      reads,
      commands: [`# The SQLite database ${name}, whole and checked:`, ...whole, ...checked],
    }];
  }
  return [
    {
      reads,
      commands: [`# The SQLite database ${name}, as it was in the full backup:`, ...whole],
    },
    ...increments.map(incrementStep),
    { title: "Check that it is what was backed up", reads: [], commands: endOf(chain.at(-1)!) },
  ];
}

const checked = [
  "sqlite3 restored.db 'PRAGMA integrity_check'",
  "# To put it in the place of another file, first stop every program that uses that file, and",
  "# move its -wal, -shm and -journal away with it: SQLite would replay them into the new one.",
];

/** A run's file is named after its place, which dd puts it at. */
function incrementStep(backup: RecipeBackup): RecipeStep {
  const { id, consistentAt } = backup.manifest;
  const reads = backup.artifacts.filter(({ artifact }) => isRuns(artifact));
  return {
    title: `Bring it to ${consistentAt} (${id})`,
    reads,
    commands: [
      "rm -rf changes && mkdir changes",
      ...reads.map(({ rawBytesCommand }) => `${rawBytesCommand} | tar -xf - -C changes`),
      "for run in changes/*; do",
      '  [ -f "$run" ] || continue',
      `  dd if="$run" of=restored.db bs=${unitBytes} seek="\${run#changes/}" conv=notrunc ` +
      "2> dd.log || { cat dd.log >&2; false; }",
      "done",
      "# The file may have become shorter:",
      `dd if=/dev/null of=restored.db bs=512 count=0 seek=${positionOf(backup).bytes / 512} ` +
      "2> dd.log",
      "rm -r changes dd.log",
    ],
  };
}

function endOf(last: RecipeBackup): string[] {
  return [
    `echo '${positionOf(last).sha256}  restored.db' | sha256sum -c`,
    ...checked,
  ];
}

function positionOf({ manifest: { id, position } }: RecipeBackup) {
  const { data } = basePositionSchema.safeParse(position.to);
  if (data !== undefined) return data;
  throw new BackupError("internal/recipe", `Backup ${id} does not say what its file is`);
}
