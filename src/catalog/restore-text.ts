import type { Artifact, Manifest } from "../contracts/manifest.ts";
import { formatBytes } from "../core/text.ts";

/** The file that tells how to restore without dbbackup. */
export const restoreTextName = "RESTORE.txt";

/** How one artifact is restored by hand. */
export interface RestoreRecipe {
  readonly artifact: Artifact;
  /** A pipeline that prints the raw bytes, to be run inside the backup's folder. */
  readonly rawBytesCommand: string;
  /** Lines for `sh`. */
  readonly commands: readonly string[];
}

/**
 * The content of RESTORE.txt: the exact standard commands for this very backup, for somebody without
 * dbbackup at three in the morning. The whole file is also a shell script's worth of commands: every
 * line that is not one starts with `#`.
 */
export function restoreText(manifest: Manifest, recipes: readonly RestoreRecipe[]): string {
  const lines = [
    ...heading(manifest),
    ...checks(manifest.artifacts),
    ...keys(manifest.artifacts),
    ...recipes.flatMap((recipe, index) => section(recipe, index + 2, manifest)),
  ];
  return `${lines.join("\n")}\n`;
}

// `set -e` would close the shell that somebody has pasted it into. Older shells have no `pipefail`,
// without which only the last command of a pipeline counts.
const stopAtFailure = [
  'case "$-" in *i*) ;; *) set -e; if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi ;; esac',
];

function heading(manifest: Manifest): string[] {
  const { source, tool } = manifest;
  const parent = manifest.parent === null ? [] : [
    "#",
    `# THIS BACKUP IS ONLY A PART. It builds on backup ${manifest.parent.id}: restore that one`,
    "# first, by its own RESTORE.txt, and this one on top of it.",
  ];
  const omitted = manifest.omitted.length === 0 ? [] : [
    "#",
    "# Not in this backup, as the job accepted:",
    ...manifest.omitted.map(({ name, reason }) => comment(`  ${name}: ${reason}`)),
  ];
  return [
    "# How to restore this backup without dbbackup",
    "#",
    comment(`Backup    ${manifest.id}, ${manifest.kind}, of job ${JSON.stringify(manifest.job)}`),
    comment(`Database  ${source.flavour} ${source.version}`),
    comment(`Data of   ${manifest.consistentAt}`),
    comment(`Made by   ${tool.name} ${tool.version}`),
    ...parent,
    ...omitted,
    "#",
    "# Lines that start with # are remarks, all others are commands for sh. Copy this whole folder",
    "# to a disk, go into it, and run the commands from top to bottom. Read the remarks first.",
    "# Run as a whole (sh RESTORE.txt) it stops at the first command that fails. Pasted into a shell,",
    "# which this does not close, it goes on: look at what each command says before the next.",
    "# With dbbackup at hand, this does it all:  " +
    `dbbackup restore ${manifest.id} --from DESTINATION --to DATABASE-URL`,
    "",
    ...stopAtFailure,
    "",
  ];
}

const stopMessage =
  "echo 'STOP: these files are not whole. Take another copy or an older backup.' >&2";

function checks(artifacts: readonly Artifact[]): string[] {
  return [
    "# 1. Check that the files are whole. Every line must end in OK; if one does not, stop here and",
    "#    take the copy from another destination or an older backup.",
    "",
    `sha256sum -c <<'END' || { ${stopMessage}; false; }`,
    ...artifacts.flatMap(({ volumes }) => volumes).map(({ name, sha256 }) => `${sha256}  ${name}`),
    "END",
    "",
  ];
}

/** What an encrypted backup needs before anything else can be read. */
function keys(artifacts: readonly Artifact[]): string[] {
  const codec = artifacts.flatMap(({ codecs }) => codecs).find(({ id }) => id === "age");
  if (codec === undefined) return [];
  const recipients = codec.parameters?.["recipients"];
  if (!Array.isArray(recipients)) {
    return [
      "#    The files are encrypted with a passphrase: age asks for it on the terminal, once a file.",
      "",
    ];
  }
  return [
    "#    The files are encrypted. One of these public keys' secret halves opens them:",
    ...recipients.map((recipient) => comment(`      ${recipient}`)),
    "#    Name the file that has it (AGE-SECRET-KEY-1...), before or here:",
    "#      export AGE_IDENTITY=/path/to/key.txt",
    "",
    ': "${AGE_IDENTITY:?is not set: export AGE_IDENTITY=/path/to/key.txt}"',
    "",
  ];
}

function section(recipe: RestoreRecipe, number: number, { source }: Manifest): string[] {
  const { artifact, rawBytesCommand, commands } = recipe;
  const databases = artifact.databases.map((name) => JSON.stringify(name)).join(", ");
  const what = artifact.databases.length === 0
    ? `the ${artifact.role} of the ${source.flavour} server`
    : `the ${artifact.role} of ${databases}`;
  return [
    comment(`${number}. Restore ${what}.`),
    comment(`   Uncompressed it is ${formatBytes(artifact.rawBytes)}. This prints it:`),
    comment(`   ${rawBytesCommand}`),
    "",
    ...commands,
    "",
  ];
}

/** A remark on one line, whatever is in it. */
function comment(text: string): string {
  return `# ${text.replaceAll(/[\r\n\u2028\u2029]+/g, " ")}`;
}
