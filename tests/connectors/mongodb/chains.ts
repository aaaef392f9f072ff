import { Buffer } from "node:buffer";
import { isOwn } from "../../../src/connectors/mongodb/archive/namespace.ts";
import { rewriteArchive } from "../../../src/connectors/mongodb/archive/rewrite.ts";
import { readEntry } from "../../../src/connectors/mongodb/oplog/entry.ts";
import { positionAt } from "../../../src/connectors/mongodb/oplog/position.ts";
import { mongodb } from "../../../src/connectors/mongodb/mod.ts";
import type { Until } from "../../../src/contracts/changes.ts";
import type { Connector } from "../../../src/contracts/connector.ts";
import type { RestorableBackup, RestorableChain } from "../../../src/contracts/restore.ts";
import type { Inventory } from "../../../src/contracts/inventory.ts";
import type { Kind, Position } from "../../../src/contracts/manifest.ts";
import { bytesOf } from "../../../src/core/bytes.ts";
import { backUp, chainOf, restoreInto } from "../sqlite/memoryBackup.ts";
import { walk, whole } from "./archives.ts";
import { entriesOf, recorded, sliceNumbers } from "./recording.ts";

/** Takes a backup that others can build on, and keeps it in memory with its inventory. */
export async function take(
  connector: Connector,
  kind: Kind = "full",
  parent?: RestorableBackup,
): Promise<RestorableBackup> {
  const taken = await backUp(mongodb, connector, {
    ...{ kind, isBase: true },
    ...parent === undefined ? {} : { parent },
  });
  const { result, artifacts } = taken;
  const [plain] = chainOf(mongodb, taken);
  const all = plain!.artifacts.map((artifact, index) => ({
    ...artifact,
    ...artifacts[index]!.head.span?.(),
  }));
  const inventory = JSON.stringify({ databases: result.inventory.databases });
  const { window } = result;
  return {
    inventory: result.inventory,
    manifest: {
      ...plain!.manifest,
      id: `backup${++count}`,
      kind,
      parent: parent === undefined
        ? null
        : { id: parent.manifest.id, manifestSha256: "0".repeat(64) },
      position: {
        ...result.from === undefined ? {} : { from: result.from },
        ...result.to === undefined ? {} : { to: result.to },
      },
      ...window === undefined
        ? {}
        : { window: { from: window.from.toISOString(), to: window.to.toISOString() } },
    },
    artifacts: [...all, {
      ...all[0]!,
      ...{ role: "inventory", format: "inventory", open: () => bytesOf(inventory) },
    }],
  };
}

let count = 0;

/** Restores a chain, whole or up to a moment. */
export function restoreTo(
  connector: Connector,
  chain: RestorableChain,
  until?: Until,
  options: Parameters<typeof restoreInto>[2] = {},
) {
  return restoreInto(connector, chain, { ...options, ...until === undefined ? {} : { until } });
}

/**
 * The recorded server's backups: its base, as a dump would have kept it, and its slices, each with the
 * entry that the one before ends with.
 */
export async function recordedChain(): Promise<RestorableChain> {
  const archive = await whole(rewriteArchive(bytesOf(recorded("base.archive")), {
    keep: (db, collection = "") =>
      db !== "config" && db !== "local" && (db !== "admin" || isOwn(collection)),
    rename: (db) => db,
  }));
  const before = [...entriesOf(recorded("before-base.bson"))];
  const base = positionAt(readEntry(before.at(-1)!)!.time, []);
  const inventory = { databases: [...await walk(bytesOf(archive))] };
  const chain = [
    linkOf("full", [{ role: "dump", bytes: archive, from: undefined, to: base }], inventory),
  ];
  let last = before.at(-1)!;
  for (const number of sliceNumbers) {
    const slice = recorded(`slice-${number}.bson`);
    const from = chain.at(-1)!.manifest.position.to!;
    const bytes = new Uint8Array(Buffer.concat([last, slice]));
    last = [...entriesOf(slice)].at(-1)!;
    const to = positionAt(readEntry(last)!.time, []);
    chain.push(linkOf("incremental", [{ role: "log", bytes, from, to }], inventory, chain.at(-1)));
  }
  return chain;
}

interface Piece {
  readonly role: "dump" | "log";
  readonly bytes: Uint8Array;
  readonly from: Position | undefined;
  readonly to: Position;
}

function linkOf(
  kind: Kind,
  pieces: readonly Piece[],
  inventory: Inventory,
  parent?: RestorableBackup,
): RestorableBackup {
  const [{ from, to }] = pieces as [Piece];
  const [plain] = chainOf(mongodb, {
    artifacts: pieces.map(({ role, bytes }) => ({
      head: {
        ...{ role, databases: [], slug: role },
        format: role === "dump" ? "mongoarchive" : "mongooplog",
      },
      bytes,
      contents: { databases: [] },
    })),
    result: {
      to,
      consistentAt: new Date(Number(to["t"]) * 1000),
      inventory,
      omitted: [],
      warnings: [],
    },
  });
  return {
    inventory,
    manifest: {
      ...plain!.manifest,
      ...{ id: `backup${++count}`, kind },
      source: { ...plain!.manifest.source, version: "4.4.0" },
      parent: parent === undefined
        ? null
        : { id: parent.manifest.id, manifestSha256: "0".repeat(64) },
      position: { ...from === undefined ? {} : { from }, to },
    },
    artifacts: plain!.artifacts.map((artifact) => ({
      ...artifact,
      ...from === undefined ? {} : { from, to },
    })),
  };
}
