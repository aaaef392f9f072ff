import { readAgain } from "../../catalog/catalog.ts";
import { type FolderFaults, folderFaults } from "../../catalog/folder-faults.ts";
import { type ManifestFile, readManifestFile } from "../../catalog/manifest.ts";
import { isKnownKind, manifestName } from "../../contracts/manifest.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { hasCode } from "../../core/errors.ts";
import { checkArtifacts, checkRestoreText } from "./check-artifacts.ts";
import { checkChain, checkChildren, type Everything } from "./check-chain.ts";
import { type Copy, isDamage } from "../shared/damaged-copy.ts";
import { type Findings, noFindings, noteOnce, sortFinding } from "./findings.ts";
import type { ManifestCache } from "../shared/manifest-cache.ts";
import { unknownRole } from "../shared/roles.ts";
import type { MeteredContext } from "../shared/progress.ts";
import type { JobContext } from "../shared/context.ts";

/** One copy with what was found of it. */
export interface CheckedCopy {
  /** As it was listed last. */
  readonly ref: BackupRef;
  /** The job's real name. */
  readonly job: string;
  readonly findings: Findings;
}

/**
 * Checks one copy of a backup. What is wrong counts only when a second, fresh look finds it, too: a
 * cable or memory that fails once is no damage.
 *
 * @param isDeep every byte, not only sizes
 * @returns undefined when it was pruned since it was listed
 */
export async function checkCopy(
  copy: Copy,
  everything: Everything,
  isDeep: boolean,
  o: MeteredContext,
): Promise<CheckedCopy | undefined> {
  const { destination } = copy;
  const { kinds, read } = everything;
  const findings = noFindings();
  let { ref } = copy;
  let { job } = ref;
  try {
    const folder = await openFolder(copy, read, findings, o);
    ref = folder.ref;
    findings.problems.push(...folder.damage);
    findings.flaws.push(...folder.flaws);
    findings.notes.push(...folder.notes);
    const { file } = folder;
    if (file !== undefined) {
      job = file.manifest.job;
      findings.checks.add("sizes");
      if (!isKnownKind(file.manifest.kind)) {
        findings.isUnread = true;
        findings.notes.push(`It is of kind "${file.manifest.kind}", which is not known here`);
      }
      const kind = kinds.find((one) => one.kind === file.manifest.source.kind);
      const strange = kind && unknownRole(file.manifest, kind);
      if (strange !== undefined) {
        findings.isUnread = true;
        findings.notes.push(
          `It has an artifact of role "${strange.role}", which is not known here`,
        );
      }
      const fresh = { destination, ref };
      if (isDeep && folder.damage.length === 0) {
        await checkArtifacts(fresh, file.manifest, kinds, findings, o);
        await checkRestoreText(fresh, file.manifest, findings, o);
        await checkChildren(fresh, file, everything, o);
      }
      findings.notes.push(...await checkChain(fresh, file.manifest, everything, o));
    }
  } catch (error) {
    if (await isGone(error, copy, o)) return undefined;
    sortFinding(error, findings, o);
  }
  return { ref, job, findings };
}

interface Folder extends FolderFaults {
  readonly ref: BackupRef;
  /** Undefined when the manifest is damaged itself. */
  readonly file: ManifestFile | undefined;
}

/** The manifest, and what the folder holds. */
async function openFolder(
  { destination: { storage }, ref }: Copy,
  read: ManifestCache["read"],
  findings: Findings,
  o: JobContext,
): Promise<Folder> {
  const look = async (ref: BackupRef, read: ManifestCache["read"]): Promise<Folder> => {
    try {
      const file = await read(storage, ref, o);
      return { ref, file, ...folderFaults(file, ref) };
    } catch (error) {
      if (!isDamage(error)) throw error;
      return { ref, file: undefined, damage: [error], flaws: [], notes: [] };
    }
  };
  const faultsOf = ({ damage, flaws }: Folder) => [...damage, ...flaws];
  const first = await look(ref, read);
  const [fault] = faultsOf(first);
  if (fault === undefined) return first;
  const second = await look(await readAgain(storage, ref, o), readManifestFile);
  if (faultsOf(second).length === 0) noteOnce(fault, findings);
  return second;
}

/** Without its manifest it is no backup any more, and a mark would be all that lies there. */
async function isGone(
  error: unknown,
  { destination: { storage }, ref }: Copy,
  o: JobContext,
): Promise<boolean> {
  if (!hasCode(error, "storage/not-found")) return false;
  const manifest = await storage.stat(ref.prefix + manifestName, o).catch(() => "unknown");
  if (manifest !== undefined) return false;
  o.runtime.log.info("Backup {id} was removed from {location} meanwhile", {
    id: ref.id,
    location: storage.location,
  });
  return true;
}
