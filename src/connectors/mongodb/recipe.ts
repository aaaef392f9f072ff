import type {
  RecipeArtifact,
  RecipeChain,
  RecipeInput,
  RecipeStep,
} from "../../contracts/recipe.ts";
import type { Manifest } from "../../contracts/manifest.ts";

// An address on the command line would show its password to everybody.
const first = [
  '# First write one line into the file "$HOME/mongodb.yaml", and chmod 600 it:',
  '#   uri: "mongodb://USER:PASSWORD@HOST:27017/?authSource=admin"',
  "# Percent-encode what is special in the password.",
];

/** The steps that restore a chain: its full backup, the oplog since then in one go, the accounts. */
export function recipe(chain: RecipeChain): RecipeStep[] {
  const [base, ...increments] = chain;
  const last = chain.at(-1)!;
  const stepsOf = (backup: RecipeChain[number], isWanted: (one: RecipeArtifact) => boolean) =>
    backup.artifacts.filter(isWanted).map((one): RecipeStep => ({
      reads: [one],
      commands: commandsOf({ ...one, manifest: backup.manifest }),
    }));
  const logs = increments.flatMap(({ artifacts }) => artifacts.filter(isLog));
  return [
    ...stepsOf(base!, (one) => !isAccounts(one)),
    ...logs.length === 0 ? [] : [replayStep(logs)],
    ...stepsOf(last, isAccounts),
  ];
}

const isLog = ({ artifact }: RecipeArtifact) => artifact.role === "log";
const isAccounts = ({ artifact }: RecipeArtifact) => artifact.role === "accounts";

/**
 * mongorestore replays an oplog right only as far as it knows the indexes and transactions, which are
 * those of the same call. What it gets wrong was measured with 100.12.2; most of it with status 0.
 */
function replayStep(logs: readonly RecipeArtifact[]): RecipeStep {
  const reads = logs.map(({ rawBytesCommand }) => rawBytesCommand);
  return {
    title: "Replay the oplog since the full backup",
    reads: logs,
    commands: [
      "# DBBACKUP DOES THIS BETTER. mongorestore brings back every write to documents, and is wrong",
      "# in these, mostly without an error. If any of them happened since the full backup, use",
      "# dbbackup (see the first lines), or mend it by hand afterwards:",
      "#   - An index that was dropped is still there, and one of a collection that was renamed is",
      "#     missing; an empty collection of the old name, or tmp...rename, may be there instead.",
      "#   - It stops where an index that the full backup has was changed (collMod), and where a",
      "#     view was made, changed or dropped. Nothing after that is restored.",
      "#   - A transaction that had begun when the full backup ended, and ended later, is missing.",
      "# The user needs the action anyAction on anyResource for it.",
      "",
      "mkdir -p oplog-replay/empty",
      `{ ${reads.join("; ")}; } > oplog-replay/oplog.bson`,
      "# To stop earlier, add --oplogLimit=SECONDS:1, which leaves out all from that second on.",
      'mongorestore --config="$HOME/mongodb.yaml" --oplogReplay ' +
      "--oplogFile=oplog-replay/oplog.bson oplog-replay/empty",
    ],
  };
}

/** The commands that restore an artifact of a full backup, or accounts. */
function commandsOf({ artifact, manifest, rawBytesCommand }: RecipeInput): string[] {
  const command = `${rawBytesCommand} | mongorestore --config="$HOME/mongodb.yaml" --archive`;
  if (artifact.role === "accounts") {
    return [
      ...first,
      "# Users and roles; those that are there already get what the backup has:",
      command,
    ];
  }
  const names = artifact.databases.map((name) => JSON.stringify(name)).join(", ") || "none";
  return [
    ...first,
    `# Into a server without these databases: ${names}`,
    [command, ...restoreFlags(manifest)].join(" "),
    '# The last line must say "0 document(s) failed to restore".',
    "# Where the server refuses something, that stops at it. To go on after errors instead, drop",
    "# what it has made, and bring the documents alone; make indexes, validators and views by hand:",
    `#   ${[command, ...goingOnFlags(manifest)].join(" ")}`,
  ];
}

/** The flags of mongorestore that bring a dump back as it was. */
export function restoreFlags(manifest: Manifest): string[] {
  return [
    // Stops at the first error too; otherwise mongorestore goes on and exits 0.
    "--maintainInsertionOrder",
    // Documents may be older than their collection's validator.
    "--bypassDocumentValidation",
    ...hasOplog(manifest) ? ["--oplogReplay"] : [],
  ];
}

/** The flags of mongorestore that bring the documents of a full backup that an oplog is replayed on. */
export const documentFlags: readonly string[] = [
  ...["--maintainInsertionOrder", "--bypassDocumentValidation", "--noIndexRestore"],
];

/** The flags of mongorestore that bring the documents, and go on after each that fails. */
export function goingOnFlags(manifest: Manifest): string[] {
  return [
    ...["--noIndexRestore", "--noOptionsRestore", "--bypassDocumentValidation"],
    ...hasOplog(manifest) ? ["--oplogReplay"] : [],
  ];
}

/** Whether a dump holds the oplog of the time it took. */
export function hasOplog(manifest: Manifest): boolean {
  return manifest.position.to?.["isConsistent"] === true;
}
