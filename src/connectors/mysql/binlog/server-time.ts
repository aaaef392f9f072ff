import type { Abortable } from "../../../core/bytes.ts";
import type { Client } from "../client.ts";

/** The server's clock, in microseconds since 1970. */
export async function serverTimeUs(client: Client, o: Abortable): Promise<number> {
  // As text in UTC: a local time is ambiguous for an hour each autumn.
  const [row] = await client.query("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR) AS time", o);
  const [, date, time, fraction] = /^(\S+) ([\d:]+)\.(\d{6})$/.exec(String(row!["time"]))!;
  return Date.parse(`${date}T${time}Z`) * 1000 + Number(fraction);
}
