import { openArtifact, openStored } from "../../catalog/artifact-reader.ts";
import { wrongText } from "../../catalog/folder-faults.ts";
import { assertRecorded, inventoryFormat } from "../../catalog/inventory-file.ts";
import { sha256Of } from "../../catalog/manifest.ts";
import { restoreTextName } from "../../catalog/restore-text.ts";
import { decoderWith, lacksKey } from "../../codecs/mod.ts";
import type { ConnectorKind } from "../../contracts/connector.ts";
import type { ArtifactFormat } from "../../contracts/format.ts";
import type { Artifact, Manifest } from "../../contracts/manifest.ts";
import { type Bytes, collect, drain, tapped } from "../../core/bytes.ts";
import { BackupError, hasCode, toBackupError } from "../../core/errors.ts";
import { tee } from "../../core/pipeline/tee.ts";
import type { Copy } from "../shared/damaged-copy.ts";
import { type Findings, lookTwice, sortFinding } from "./findings.ts";
import type { MeteredContext } from "../shared/progress.ts";
import type { JobContext } from "../shared/context.ts";

/** Reads every byte of a copy's artifacts, and compares the manifest with what they record of it. */
export async function checkArtifacts(
  copy: Copy,
  manifest: Manifest,
  kinds: readonly ConnectorKind[],
  findings: Findings,
  o: MeteredContext,
): Promise<void> {
  const kind = kinds.find(({ kind }) => kind === manifest.source.kind);
  const formats = [...kind?.formats ?? [], inventoryFormat];
  for (const artifact of manifest.artifacts) {
    const name = artifact.volumes[0]!.name;
    const format = formats.find(({ id }) => id === artifact.format);
    if (format === undefined) {
      // Of a kind that is known here, it is a newer version's; else a plugin's, and digests are all.
      if (kind !== undefined) findings.isUnread = true;
      findings.notes.push(
        `The structure of "${name}" was not looked into: ` +
          `format "${artifact.format}" is not known here`,
      );
    }
    o.meter.stage(`verify ${copy.ref.id} ${name}`, artifact.rawBytes);
    const read = () => readArtifact(copy, artifact, format, findings, o);
    try {
      await lookTwice(read, findings, o);
    } catch (error) {
      if (lacksKey(error)) await readStored(copy, artifact, error, findings, o);
      else sortFinding(error, findings, o);
    }
  }
  if (!findings.isUnread) findings.checks.add("digests");
  if (!findings.isClosed) await checkRecord(copy, manifest, findings, o);
}

/** Compares RESTORE.txt with its digest in the manifest. */
export async function checkRestoreText(
  { destination: { storage }, ref: { prefix, files } }: Copy,
  { restoreText }: Manifest,
  findings: Findings,
  o: JobContext,
): Promise<void> {
  // One that is missing, or has another size, is told already.
  if (restoreText === undefined || files.get(restoreTextName) !== restoreText.bytes) return;
  try {
    await lookTwice(
      async () => {
        const text = await collect(storage.get(prefix + restoreTextName, o));
        if (sha256Of(text) !== restoreText.sha256) throw wrongText(prefix, "its sha256 differs");
      },
      findings,
      o,
    );
  } catch (error) {
    if (hasCode(error, "verification/restore-text")) findings.flaws.push(error);
    else sortFinding(error, findings, o);
  }
}

async function checkRecord(
  { destination: { storage }, ref }: Copy,
  manifest: Manifest,
  findings: Findings,
  o: JobContext,
): Promise<void> {
  const decoder = decoderWith(o.keyring);
  try {
    await lookTwice(
      () => assertRecorded(storage, ref.prefix, manifest, { ...o, decoder }),
      findings,
      o,
    );
  } catch (error) {
    // The artifact was read before, and what is wrong with it is told.
    if (findings.problems.length === 0) sortFinding(error, findings, o);
  }
}

async function readArtifact(
  { destination: { storage }, ref: { prefix } }: Copy,
  artifact: Artifact,
  format: ArtifactFormat | undefined,
  findings: Findings,
  o: MeteredContext,
): Promise<void> {
  const options = { walker: format?.walk(), decoder: decoderWith(o.keyring) };
  const raw = openArtifact(storage, prefix, artifact, options, o);
  const bytes = tapped(raw, (chunk) => o.meter.raw(chunk.byteLength));
  if (format?.nativeCheck === undefined) await drain(bytes);
  else await readWithTool(bytes, artifact, format, findings, o);
  if (format !== undefined) findings.checks.add("structure");
}

/** Without the key, what is stored can still be compared with its digests. */
async function readStored(
  { destination: { storage }, ref: { prefix } }: Copy,
  artifact: Artifact,
  error: BackupError,
  findings: Findings,
  o: MeteredContext,
): Promise<void> {
  // The same holds for every file; without its name it is told once.
  const { message } = error.cause instanceof BackupError ? error.cause : error;
  const note = `Only the digests were checked: ${message}`;
  if (!findings.notes.includes(note)) findings.notes.push(note);
  findings.isClosed = true;
  const read = async () => {
    const bytes = openStored(storage, prefix, artifact, o);
    await drain(tapped(bytes, (chunk) => o.meter.raw(chunk.byteLength)));
  };
  try {
    await lookTwice(read, findings, o);
  } catch (error) {
    sortFinding(error, findings, o);
  }
}

/** One read feeds both our own checks, which need the last byte, and the engine's tool. */
async function readWithTool(
  bytes: Bytes,
  artifact: Artifact,
  format: ArtifactFormat,
  findings: Findings,
  o: JobContext,
): Promise<void> {
  const [own, tool] = await tee<void>(bytes, [
    (copy) => drain(copy),
    (copy, signal) => format.nativeCheck!(copy, { signal, runtime: o.runtime }),
  ], o);
  if (own!.status === "failed") throw own!.error;
  if (tool!.status === "done") {
    findings.checks.add("native-tool");
  } else if (hasCode(tool!.error, "verification/")) {
    throw tool!.error;
  } else {
    const { message } = toBackupError(tool!.error);
    findings.notes.push(
      `"${artifact.volumes[0]!.name}" was not read with the database's own tool: ${message}`,
    );
  }
}
