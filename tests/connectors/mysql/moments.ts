import assert from "node:assert/strict";
import type { Until } from "../../../src/contracts/changes.ts";
import { chooseChain } from "../../../src/catalog/choose-chain.ts";
import { freshName } from "../../support/freshName.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { restoreInto } from "../sqlite/memoryBackup.ts";
import { takeBackup, type TakenBackup } from "./chains.ts";
import { connect, type Flavour } from "./flavours.ts";
import { type Moment, startWriter, stateOf } from "./writer.ts";

/** What was recorded, and the backups that were taken meanwhile. */
export interface Recorded {
  readonly database: string;
  readonly moments: readonly Moment[];
  readonly backups: readonly TakenBackup[];
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Writes without a pause while a full backup and increments are taken, and records moments right
 * behind a change.
 */
export async function record(
  flavour: Flavour,
  server: MysqlServer,
  count: number,
): Promise<Recorded> {
  const database = await server.createDatabase();
  const writer = await startWriter(server, database);
  const connector = await connect(flavour, server, { database });
  const backups: TakenBackup[] = [];
  const moments: Moment[] = [];
  let isWriting = true;
  try {
    for (let index = 0; index < 20; index++) await writer.change();
    const writing = (async () => {
      while (isWriting) {
        await writer.change();
        await pause(1);
      }
    })();
    // Rows change while it is dumped; DDL waits for its end.
    backups.push(await takeBackup(flavour, connector));
    isWriting = false;
    await writing;
    for (let index = 0; index < count; index++) {
      for (let changes = 0; changes < 7; changes++) await writer.change();
      const moment = await writer.moment();
      moments.push(moment);
      // The next change is behind the moment.
      await pause(Math.max(2, moment.at.getTime() - Date.now() + 2));
      if (index % 3 === 2) {
        const kind = index % 2 === 0 ? "incremental" : "differential";
        const parent = kind === "differential" ? backups[0]! : backups.at(-1)!;
        const taking = takeBackup(flavour, connector, kind, parent);
        // It ends in the middle of what is written meanwhile.
        for (let changes = 0; changes < 3; changes++) await writer.change();
        backups.push(await taking);
      }
    }
    moments.push(await writer.moment());
    await pause(flavour.name === "mariadb" ? 1100 : 5);
    backups.push(await takeBackup(flavour, connector, "incremental", backups.at(-1)!));
    return { database, moments, backups };
  } finally {
    await writer.close();
    await connector.close();
  }
}

/** Restores each moment under another name, by time, by position and by GTID in turn, and compares. */
export async function assertMoments(
  flavour: Flavour,
  server: MysqlServer,
  { moments, backups }: Recorded,
): Promise<void> {
  const { compare, parse } = flavour.kind.positions!;
  const reachable = backups.map((one) => ({
    ...one,
    id: one.manifest.id,
    parentId: one.manifest.parent?.id,
    consistentAt: one.result.consistentAt,
    window: one.result.window,
    position: one.manifest.position,
  }));
  for (const [index, moment] of moments.entries()) {
    const way = ["time", "position", "gtid"][index % 3]!;
    const wanted = way === "time"
      ? { at: moment.at }
      : { position: parse!(way === "position" ? moment.position : moment.gtid), compare };
    const { chain, until } = chooseChain(reachable, wanted);
    await assertRestored(flavour, server, chain, until, moment, `moment ${index}, by ${way}`);
  }
}

async function assertRestored(
  flavour: Flavour,
  server: MysqlServer,
  chain: readonly TakenBackup[],
  until: Until | undefined,
  { state }: Moment,
  title: string,
): Promise<void> {
  const copy = freshName();
  const connector = await connect(flavour, server, { database: copy });
  try {
    await restoreInto(connector, chain, until === undefined ? {} : { until });
    assert.equal(await stateOf(server, copy), state, title);
  } catch (error) {
    throw new Error(`${title}: ${String(error)}`, { cause: error });
  } finally {
    await connector.close();
    await server.sql("", `DROP DATABASE IF EXISTS ${copy}`);
  }
}
