import type { Artifact, Manifest } from "../contracts/manifest.ts";
import type { RecipeArtifact, RecipeStep } from "../contracts/recipe.ts";
import { briefWords, formatBytes } from "../core/text.ts";
import { folderOf } from "./manifest.ts";

/** The file that tells how to restore without dbbackup. */
export const restoreTextName = "RESTORE.txt";

/**
 * The content of RESTORE.txt: the exact standard commands for this very backup and all that it builds
 * on, for somebody without dbbackup at three in the morning. The whole file is also a shell script's
 * worth of commands: every line that is not one starts with `#`.
 *
 * @param chain the full backup first, this one last
 */
export function restoreText(chain: readonly Manifest[], recipe: readonly RecipeStep[]): string {
  const last = chain.at(-1)!;
  const lines = [
    ...heading(last, chain.slice(0, -1)),
    ...checks(chain),
    ...keys(chain.flatMap(({ artifacts }) => artifacts)),
    ...recipe.flatMap((step, index) => section(step, index + 2, last)),
  ];
  return `${lines.join("\n")}\n`;
}

// `set -e` would close the shell that somebody has pasted it into. Older shells have no `pipefail`,
// without which only the last command of a pipeline counts.
const stopAtFailure = [
  'case "$-" in *i*) ;; *) set -e; if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi ;; esac',
];

function heading(manifest: Manifest, before: readonly Manifest[]): string[] {
  const { source, tool } = manifest;
  const parents = before.length === 0 ? [] : [
    "#",
    "# THIS BACKUP IS ONLY A PART. It builds on these, whose folders have to lie beside its own, by",
    "# the names that they have; the commands below restore them all, up to this one:",
    ...before.map((one) => comment(`  ${folderNameOf(one)}  ${one.kind}, ${one.consistentAt}`)),
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
    ...parents,
    ...omitted,
    "#",
    ...before.length === 0
      ? [
        "# Lines that start with # are remarks, all others are commands for sh. Copy this whole folder",
        "# to a disk, go into it, and run the commands from top to bottom. Read the remarks first.",
      ]
      : [
        "# Lines that start with # are remarks, all others are commands for sh. Copy all these folders",
        "# to a disk, beside each other, go into this one, and run the commands from top to bottom.",
        "# Read the remarks first.",
      ],
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

function checks(chain: readonly Manifest[]): string[] {
  const last = chain.at(-1)!;
  const files = chain.flatMap((manifest) => {
    const folder = manifest === last ? "" : `../${folderNameOf(manifest)}/`;
    return manifest.artifacts.flatMap(({ volumes }) => volumes)
      .map(({ name, sha256 }) => `${sha256}  ${folder}${name}`);
  });
  return [
    "# 1. Check that the files are whole. Every line must end in OK; if one does not, stop here and",
    "#    take the copy from another destination or an older backup.",
    "",
    `sha256sum -c <<'END' || { ${stopMessage}; false; }`,
    ...files,
    "END",
    "",
  ];
}

function folderNameOf(manifest: Manifest): string {
  return folderOf(manifest).split("/")[1]!;
}

/** What an encrypted backup needs before anything else can be read. */
function keys(artifacts: readonly Artifact[]): string[] {
  const encrypted = artifacts.flatMap(({ codecs }) => codecs).filter(({ id }) => id === "age");
  if (encrypted.length === 0) return [];
  const recipients = [
    ...new Set(encrypted.flatMap(({ parameters }) => textsOf(parameters?.["recipients"]))),
  ];
  if (recipients.length === 0) {
    return [
      "#    The files are encrypted with a passphrase: age asks for it on the terminal, once a file.",
      "",
    ];
  }
  return [
    "#    The files are encrypted. One of these public keys' secret halves opens them:",
    ...recipients.map((recipient) => comment(`      ${briefWords(recipient)}`)),
    "#    Name the file that has it (AGE-SECRET-KEY-1..., or the secret SSH key), before or here:",
    "#      export AGE_IDENTITY=/path/to/key.txt",
    "",
    ': "${AGE_IDENTITY:?is not set: export AGE_IDENTITY=/path/to/key.txt}"',
    "",
  ];
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function section({ title, reads, commands }: RecipeStep, number: number, last: Manifest): string[] {
  const [first] = reads;
  return [
    comment(`${number}. ${title ?? (first === undefined ? "Finish" : titleOf(first, last))}.`),
    ...reads.flatMap(({ artifact, rawBytesCommand }) => [
      comment(`   Uncompressed it is ${formatBytes(artifact.rawBytes)}. This prints it:`),
      comment(`   ${rawBytesCommand}`),
    ]),
    "",
    ...commands,
    "",
  ];
}

function titleOf({ artifact: { role, databases } }: RecipeArtifact, { source }: Manifest): string {
  const names = databases.map((name) => JSON.stringify(name)).join(", ");
  return databases.length === 0
    ? `Restore the ${role} of the ${source.flavour} server`
    : `Restore the ${role} of ${names}`;
}

/** A remark on one line, whatever is in it. */
function comment(text: string): string {
  return `# ${text.replaceAll(/[\r\n\u2028\u2029]+/g, " ")}`;
}
