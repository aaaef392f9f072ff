import { createHash } from "node:crypto";
import { type Bytes, bytesOf, collect } from "../../../src/core/bytes.ts";
import type { Connector, ConnectorKind } from "../../../src/contracts/connector.ts";
import type { ArtifactHead, DumpPlan, DumpResult, Emit } from "../../../src/contracts/dump.ts";
import type { RestorableChain, RestoreOptions } from "../../../src/contracts/restore.ts";
import type { DumpSettings } from "../../../src/contracts/source.ts";
import type { ArtifactContents } from "../../../src/contracts/format.ts";
import type { Manifest } from "../../../src/contracts/manifest.ts";
import type { Inventory } from "../../../src/contracts/inventory.ts";
import { never } from "../../support/runtime.ts";

/** The part of a kind that these helpers need. */
export type TestedKind = Pick<ConnectorKind, "kind" | "title" | "formats">;

/** An artifact held in memory. */
export interface MemoryArtifact {
  readonly head: ArtifactHead;
  readonly bytes: Uint8Array;
  readonly contents: ArtifactContents;
}

/** A backup held in memory, with what the dump said of itself. */
export interface MemoryBackup {
  readonly artifacts: readonly MemoryArtifact[];
  readonly result: DumpResult;
  /** Of the plan. */
  readonly settings?: DumpSettings;
}

/** Dumps into memory, walking each artifact as the pipeline does. */
export async function backUp(
  kind: TestedKind,
  connector: Connector,
  plan: Partial<DumpPlan> = {},
): Promise<MemoryBackup> {
  const artifacts: MemoryArtifact[] = [];
  const emit: Emit = async (head, bytes) => {
    const format = kind.formats.find(({ id }) => id === head.format);
    if (format === undefined) throw new Error(`unknown format ${head.format}`);
    const walker = format.walk();
    const whole = await collect(walked(bytes, (chunk) => walker.push(chunk)), 2 ** 30);
    const contents = walker.end();
    artifacts.push({ head, bytes: whole, contents });
    return contents;
  };
  const settled: DumpPlan = { kind: "full", settings: {}, stallMs: 60_000, ...plan };
  const result = await connector.dump(settled, emit, { signal: never });
  return { artifacts, result, settings: settled.settings };
}

/** The chain that a restore gets; `open` may be replaced, to fail halfway. */
export function chainOf(
  kind: TestedKind,
  { artifacts, result, settings = {} }: MemoryBackup,
  replaced: {
    open?: (bytes: Uint8Array) => Bytes;
    inventory?: Inventory;
    omitted?: string[];
  } = {},
): RestorableChain {
  const restorable = artifacts.map(({ head, bytes }, index) => {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const name = `${head.role}-${index + 1}.${head.format}`;
    return {
      number: index + 1,
      role: head.role,
      databases: [...head.databases],
      format: head.format,
      codecs: [],
      rawBytes: bytes.byteLength,
      rawSha256: sha256,
      storedBytes: bytes.byteLength,
      storedSha256: sha256,
      volumes: [{ name, bytes: bytes.byteLength, sha256 }],
      open: () => (replaced.open ?? bytesOf)(bytes),
    };
  });
  const at = result.consistentAt.toISOString();
  return [{
    manifest: {
      formatVersion: 1,
      id: "20261124T020000Z_full_k3v9x2ma_s41f0c2",
      job: "test",
      kind: "full",
      parent: null,
      source: { kind: kind.kind, id: "x", tag: "s0", flavour: kind.title, version: "0" },
      tool: { name: "dbbackup", version: "0" },
      clientTools: [],
      startedAt: at,
      finishedAt: at,
      consistentAt: at,
      position: result.to === undefined ? {} : { to: result.to },
      clockOffsetMs: 0,
      settings: recorded(settings),
      omitted: [...result.omitted],
      warnings: [...result.warnings],
      artifacts: restorable.map(({ open: _, ...artifact }) => artifact),
    },
    artifacts: restorable,
    inventory: replaced.inventory ?? result.inventory,
  }];
}

/** As a manifest has them. */
function recorded(
  { exclude, excludeData, dumpArgs, schemaOnly }: DumpSettings,
): Manifest["settings"] {
  return {
    ...exclude === undefined ? {} : { exclude: [...exclude] },
    ...excludeData === undefined ? {} : { excludeData: [...excludeData] },
    ...dumpArgs === undefined ? {} : { dumpArgs: [...dumpArgs] },
    ...schemaOnly === undefined ? {} : { schemaOnly },
  };
}

/** Options of a restore with the id `k3v9x2ma`. */
export function restoreOptions(changed: Partial<RestoreOptions> = {}): RestoreOptions {
  return {
    isOverwrite: false,
    only: [],
    isWithAccounts: false,
    isDifferenceAccepted: false,
    isKeepGoing: false,
    jobs: 1,
    restoreArgs: [],
    backupId: "k3v9x2ma",
    ...changed,
  };
}

/** Plans and carries out a restore. */
export async function restoreInto(
  connector: Connector,
  chain: RestorableChain,
  changed: Partial<RestoreOptions> = {},
) {
  const options = restoreOptions(changed);
  const plan = await connector.planRestore(chain, options, { signal: never });
  const result = await connector.restore(chain, plan, options, { signal: never });
  return { plan, result };
}

async function* walked(bytes: Bytes, see: (chunk: Uint8Array) => void): Bytes {
  for await (const chunk of bytes) {
    see(chunk);
    yield chunk;
  }
}
