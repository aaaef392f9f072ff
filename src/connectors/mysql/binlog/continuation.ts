import type { Abortable } from "../../../core/bytes.ts";
import { hasCode } from "../../../core/errors.ts";
import type { Continuation, Since } from "../../../contracts/changes.ts";
import type { MysqlAddress } from "../address.ts";
import type { Client } from "../client.ts";
import type { Server } from "../server.ts";
import { obstacleTo, partialReason } from "./requirements.ts";
import { assertSamePlace } from "./same-place.ts";
import { fileParts, placeOf, textOf } from "./place.ts";

/** What a full backup left out that its log has: what is replayed would find no table. */
const inTheWay: readonly string[] = ["tables", "views", "routines", "triggers", "events"];

/** Says whether a server's log goes on from where a backup ended. */
export async function continuationOf(
  { client, address, server, since: { parent } }: {
    readonly client: Client;
    readonly address: MysqlAddress;
    readonly server: Server;
    readonly since: Since;
  },
  o: Abortable,
): Promise<Continuation> {
  const no = (reason: string): Continuation => ({ isPossible: false, reason });
  const place = placeOf(parent.position.to);
  if (place === undefined) return no(`${parent.id} does not say where in the log it ended`);
  const obstacle = await obstacleTo(client, server, o);
  if (obstacle !== undefined) return no(obstacle);
  // A full one that was not meant to be built on may have its definitions of another moment.
  if (place.begun === undefined) return no(`${parent.id} was not taken for others to build on`);
  const partial = partialReason(parent.settings);
  if (partial !== undefined) return no(partial);
  const omitted = parent.omitted.find(({ name }) => inTheWay.includes(name));
  if (omitted !== undefined) {
    return no(`${parent.id} lacks ${omitted.name}, and the log has their changes`);
  }
  const { sourceId } = server;
  if (place.server !== undefined && place.server !== sourceId) {
    return no(`the server is another: its server_uuid is ${sourceId}, not ${place.server}`);
  }
  const rows = await client.query("SHOW BINARY LOGS", o);
  const logs = rows.map((row) => ({
    name: String(row["Log_name"]),
    bytes: Number(row["File_size"]),
  }));
  const log = logs.find(({ name }) => name === place.file);
  if (log === undefined) return no(missing(place.file, logs.map(({ name }) => name)));
  if (log.bytes < place.offset) {
    return no(
      `${place.file} has ${log.bytes} bytes, and ${parent.id} ended at ${textOf(place)}: ` +
        "the log was begun anew",
    );
  }
  try {
    await assertSamePlace(address, server.flavour, place, o);
    return { isPossible: true };
  } catch (error) {
    if (hasCode(error, "dump/cannot-continue")) return no(error.message);
    throw error;
  }
}

/** Why a file is not there, as its number tells. */
function missing(file: string, names: readonly string[]): string {
  const [wanted, first] = [fileParts(file), fileParts(names[0] ?? "")];
  const isPurged = wanted !== undefined && first !== undefined && wanted.base === first.base &&
    wanted.number < first.number;
  return isPurged
    ? `${file} was purged: the log begins at ${names[0]}`
    : `${file} is not in the log, which was begun anew (RESET MASTER, or another server)`;
}
