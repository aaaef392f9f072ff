import { type Artifact, type Manifest, manifestName } from "../contracts/manifest.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import { BackupError } from "../core/errors.ts";
import { inventoryFormat } from "./inventory-file.ts";
import type { ManifestFile } from "./manifest.ts";
import { parseMarkName } from "./mark-names.ts";
import { volumeName } from "./names.ts";
import { isOwnFile } from "./own-files.ts";
import { restoreTextName } from "./restore-text.ts";
import { sealName, sealStatus } from "./seal.ts";

/** What a backup's folder has other than it should, as far as manifest and LIST tell. */
export interface FolderFaults {
  /** What a restore needs: missing and cut volumes, artifacts that make no whole. */
  readonly damage: readonly BackupError[];
  /** What it does without: RESTORE.txt, the seal, files too many. */
  readonly flaws: readonly BackupError[];
  readonly notes: readonly string[];
}

/**
 * Compares a backup's folder, as a LIST saw it, with its manifest, and the manifest with itself.
 * Costs no request.
 *
 * Codes: `verification/missing-object`, `verification/size`, `verification/artifacts`,
 * `verification/extra-object`, `verification/restore-text`, `verification/unsealed`.
 */
export function folderFaults(file: ManifestFile, ref: FolderRef): FolderFaults {
  const { manifest } = file;
  return {
    damage: [...volumeFaults(manifest, ref), ...artifactFaults(manifest)],
    flaws: [...textFaults(manifest, ref), ...sealFaults(file, ref), ...extraFiles(file, ref)],
    notes: foreignFiles(ref),
  };
}

type FolderRef = Pick<BackupRef, "prefix" | "files">;

/**
 * Every volume there, each with its size.
 *
 * @returns a `verification/missing-object` or `verification/size` error for each that differs.
 */
export function volumeFaults(manifest: Manifest, { prefix, files }: FolderRef): BackupError[] {
  const hint = "Restore from another destination or an older backup; `dbbackup list` shows them.";
  return manifest.artifacts.flatMap(({ volumes }) => volumes).flatMap(({ name, bytes }) => {
    const found = files.get(name);
    if (found === bytes) return [];
    if (found === undefined) {
      const message = `Object "${prefix}${name}" is missing`;
      return [new BackupError("verification/missing-object", message, { hint })];
    }
    const message = `Object "${prefix}${name}" has ${found} bytes instead of ${bytes}`;
    return [new BackupError("verification/size", message, { hint })];
  });
}

/** Whether the artifacts are the whole of a backup, and each is the whole of its volumes. */
function artifactFaults({ artifacts }: Manifest): BackupError[] {
  const faults: string[] = [];
  for (const [index, { number }] of artifacts.entries()) {
    if (number === index + 1) continue;
    faults.push(`artifact ${number} is where number ${index + 1} belongs`);
    break;
  }
  const inventories = artifacts.filter(({ role }) => role === "inventory");
  if (inventories.length !== 1) {
    faults.push(inventories.length === 0 ? "no inventory" : `${inventories.length} inventories`);
  }
  const strange = inventories.find(({ format }) => format !== inventoryFormat.id);
  if (strange !== undefined) faults.push(`an inventory of format "${strange.format}"`);
  const hasData = artifacts.some(({ role }) => role !== "inventory" && role !== "accounts");
  // A server may have no database at all.
  const isEmpty = inventories.every(({ databases }) => databases.length === 0);
  if (!hasData && !(isEmpty && inventories.length > 0)) faults.push("no dump");
  const names = artifacts.flatMap(({ volumes }) => volumes).map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) faults.push(`"${twice}" twice`);
  return [...faults, ...artifacts.flatMap(oneArtifact)].map((fault) =>
    new BackupError("verification/artifacts", `The manifest lists no whole backup: ${fault}`, {
      hint: "Restore from another destination or an older backup; `dbbackup list` shows them.",
    })
  );
}

function oneArtifact({ role, number, volumes, storedBytes, storedSha256 }: Artifact): string[] {
  const faults: string[] = [];
  const first = volumes[0]!.name;
  const stem = role === "inventory" ? role : `${role}-${String(number).padStart(3, "0")}`;
  const isNamed = first.startsWith(stem) && /^[-.]/.test(first.slice(stem.length));
  if (!isNamed) faults.push(`"${first}" is artifact ${number} of role "${role}"`);
  const strange = volumes.find(({ name }, index) => name !== volumeName(first, index + 1));
  if (strange !== undefined) faults.push(`"${strange.name}" is a volume of "${first}"`);
  const bytes = volumes.reduce((sum, volume) => sum + volume.bytes, 0);
  if (bytes !== storedBytes) {
    faults.push(`the volumes of "${first}" have ${bytes} bytes instead of ${storedBytes}`);
  }
  if (volumes.length === 1 && volumes[0]!.sha256 !== storedSha256) {
    faults.push(`"${first}" has two different digests`);
  }
  return faults;
}

function textFaults({ restoreText }: Manifest, { prefix, files }: FolderRef): BackupError[] {
  const found = files.get(restoreTextName);
  if (restoreText === undefined) return [wrongText(prefix, "the manifest does not know it")];
  if (found === undefined) return [wrongText(prefix, "it is missing")];
  if (found === restoreText.bytes) return [];
  return [wrongText(prefix, `it has ${found} bytes instead of ${restoreText.bytes}`)];
}

/** What a changed RESTORE.txt is told as; a restore with dbbackup does without it. */
export function wrongText(prefix: string, why: string): BackupError {
  return new BackupError(
    "verification/restore-text",
    `"${prefix}${restoreTextName}" is not what was stored: ${why}`,
    { hint: "Do not run it. `dbbackup copy` heals it from another destination." },
  );
}

function sealFaults(file: ManifestFile, { prefix, files }: FolderRef): BackupError[] {
  if (sealStatus(files, file.sha256) !== "missing") return [];
  return [
    new BackupError(
      "verification/unsealed",
      `"${prefix}${sealName(file)}" is missing: nothing proves the manifest`,
      { hint: "`dbbackup copy` heals it from another destination." },
    ),
  ];
}

/** Files that are named as dbbackup names them, and that this backup does not have. */
function extraFiles(file: ManifestFile, ref: FolderRef): BackupError[] {
  const expected = expectedFiles(file);
  return [...ref.files.keys()].filter((name) => isExtraFile(name, expected)).map((name) =>
    new BackupError(
      "verification/extra-object",
      `"${ref.prefix}${name}" is no file of this backup`,
      { hint: "Find out who put it there, and delete it. A restore does not read it." },
    )
  );
}

/** Every file that a backup has, but its marks. */
export function expectedFiles(file: ManifestFile): Set<string> {
  const volumes = file.manifest.artifacts.flatMap((artifact) => artifact.volumes);
  return new Set([
    ...volumes.map(({ name }) => name),
    restoreTextName,
    sealName(file),
    manifestName,
  ]);
}

/** True for a file that only dbbackup gives such a name, and that is none of the expected. */
export function isExtraFile(name: string, expected: ReadonlySet<string>): boolean {
  return !expected.has(name) && isOwnFile(name) && parseMarkName(name) === undefined;
}

function foreignFiles({ files }: FolderRef): string[] {
  const foreign = [...files.keys()].filter((name) => !isOwnFile(name));
  return foreign.map((name) => `"${name}" is not dbbackup's; prune leaves this backup alone`);
}
