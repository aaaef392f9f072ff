import { collect } from "../../../src/core/bytes.ts";
import type { Connector } from "../../../src/contracts/connector.ts";
import type { DumpResult } from "../../../src/contracts/dump.ts";
import type {
  RestorableArtifact,
  RestorableBackup,
  RestorableChain,
} from "../../../src/contracts/restore.ts";
import type { Artifact, Kind, Manifest } from "../../../src/contracts/manifest.ts";
import { assertContinuous, joinsOf } from "../../../src/catalog/continuity.ts";
import { never } from "../../support/runtime.ts";
import type { Flavour } from "./flavours.ts";

/** A backup of a chain in memory. */
export interface TakenBackup extends RestorableBackup {
  readonly result: DumpResult;
}

let count = 0;

/** Takes a backup on top of another, as a job does, and walks it. */
export async function takeBackup(
  { kind }: Flavour,
  connector: Connector,
  taken: Kind = "full",
  parent?: TakenBackup,
): Promise<TakenBackup> {
  const info = await connector.inspect({
    signal: never,
    ...parent === undefined ? {} : { since: { kind: taken, parent: parent.manifest } },
  });
  if (info.continues?.isPossible === false) throw new Error(info.continues.reason);
  const artifacts: RestorableArtifact[] = [];
  const result = await connector.dump({
    kind: taken,
    isBase: true,
    settings: {},
    stallMs: 60_000,
    ...parent === undefined ? {} : { parent },
  }, async (head, bytes) => {
    const walker = kind.formats.find(({ id }) => id === head.format)!.walk();
    const whole = await collect(bytes, 2 ** 30);
    walker.push(whole);
    artifacts.push({
      ...stored(whole.length),
      number: artifacts.length + 1,
      role: head.role,
      databases: [...head.databases],
      format: head.format,
      ...head.span?.(),
      async *open() {
        yield whole;
        await Promise.resolve();
      },
    });
    return walker.end();
  }, { signal: never });
  const manifest: Manifest = {
    formatVersion: 1,
    id: `backup${++count}`,
    job: "test",
    kind: taken,
    parent: parent === undefined
      ? null
      : { id: parent.manifest.id, manifestSha256: "0".repeat(64) },
    source: {
      kind: kind.kind,
      id: info.sourceId ?? "x",
      tag: "s0",
      flavour: info.flavour,
      version: info.version,
    },
    tool: { name: "dbbackup", version: "0" },
    clientTools: [],
    startedAt: result.consistentAt.toISOString(),
    finishedAt: result.consistentAt.toISOString(),
    consistentAt: result.consistentAt.toISOString(),
    ...result.window === undefined ? {} : {
      window: { from: result.window.from.toISOString(), to: result.window.to.toISOString() },
    },
    position: {
      ...result.from === undefined ? {} : { from: result.from },
      ...result.to === undefined ? {} : { to: result.to },
    },
    clockOffsetMs: 0,
    settings: {},
    omitted: [...result.omitted],
    warnings: [...result.warnings],
    artifacts: artifacts.map(({ open: _, ...artifact }): Artifact => artifact),
  };
  assertContinuous(manifest, joinsOf(kind.positions));
  return { manifest, artifacts, inventory: result.inventory, result };
}

/** The chain of the last of some backups. */
export function chainTo(backups: readonly TakenBackup[], last: TakenBackup): RestorableChain {
  const parentId = last.manifest.parent?.id;
  const parent = backups.find(({ manifest }) => manifest.id === parentId);
  return parent === undefined ? [last] : [...chainTo(backups, parent), last];
}

function stored(bytes: number) {
  const sha256 = "0".repeat(64);
  return {
    codecs: [],
    rawBytes: bytes,
    rawSha256: sha256,
    storedBytes: bytes,
    storedSha256: sha256,
    volumes: [{ name: "x", bytes, sha256 }],
  };
}
