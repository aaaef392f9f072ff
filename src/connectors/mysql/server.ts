import type { Abortable } from "../../core/bytes.ts";
import type { Client } from "./client.ts";
import { type Grants, parseGrants } from "./grants.ts";

/** Which of the two families a server or a client tool is of. */
export type Flavour = "MySQL" | "MariaDB";

/** What a server says of itself. */
export interface Server {
  readonly flavour: Flavour;
  /** `10.11.19`, `9.7.4`. */
  readonly version: string;
  /** MySQL's server_uuid. Undefined where the server has no id of its own. */
  readonly sourceId: string | undefined;
  /** Tells it from the other servers that are reached from this machine, by whatever address. */
  readonly instance: string;
  readonly hasBinlog: boolean;
  /** MySQL: whether transactions have GTIDs. MariaDB always gives them. */
  readonly hasGtid: boolean;
  /** Its clock, in milliseconds. */
  readonly timeMs: number;
  /** Whether `Shop` and `shop` are one database, or table: lower_case_table_names. */
  readonly foldsNames: boolean;
  /** The user that we are to it, `user@host`. */
  readonly account: string;
  readonly grants: Grants;
}

/** Asks a server about itself. */
export async function readServer(client: Client, o: Abortable): Promise<Server> {
  const [about] = await client.query(
    `SELECT VERSION() AS version, @@version_comment AS comment, @@log_bin AS binlog,
            UNIX_TIMESTAMP(NOW(3)) AS time, CURRENT_USER() AS account,
            @@lower_case_table_names AS folding`,
    o,
  );
  const text = String(about!["version"]);
  const flavour = /MariaDB/i.test(`${text} ${about!["comment"]}`) ? "MariaDB" : "MySQL";
  const variables = await readVariables(client, o);
  return {
    flavour,
    version: versionOf(text),
    sourceId: sourceIdOf(flavour, variables),
    instance: ["server_uuid", "server_uid", "hostname", "port", "datadir"]
      .map((name) => variables.get(name) ?? "").join(" "),
    hasBinlog: String(about!["binlog"]) === "1",
    hasGtid: flavour === "MariaDB" || /^ON/i.test(variables.get("gtid_mode") ?? ""),
    timeMs: Math.round(Number(about!["time"]) * 1000),
    foldsNames: String(about!["folding"]) !== "0",
    account: String(about!["account"]),
    grants: await readGrants(client, flavour, o),
  };
}

/** The number out of `5.5.5-10.11.19-MariaDB-log`, whose first part old drivers wanted. */
export function versionOf(text: string): string {
  return /\d+\.\d+(?:\.\d+)?/.exec(text.replace(/^5\.5\.5-/, ""))?.[0] ?? text;
}

/** Compares versions number by number; negative when `a` is older. */
export function compareVersions(a: string, b: string, parts = 3): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (let index = 0; index < parts; index++) {
    const difference = (left![index] ?? 0) - (right![index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

async function readVariables(client: Client, o: Abortable): Promise<Map<string, string>> {
  const rows = await client.query(
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN
       ('server_uuid', 'server_uid', 'hostname', 'port', 'datadir', 'gtid_mode')`,
    o,
  );
  return new Map(
    rows.map((row) => [String(row["Variable_name"]).toLowerCase(), String(row["Value"])]),
  );
}

/**
 * MySQL has its server_uuid, kept in the data directory. MariaDB has nothing like it: its server_uid
 * comes from the machine's network address and the port, so every new container has another.
 */
function sourceIdOf(
  flavour: Flavour,
  variables: ReadonlyMap<string, string>,
): string | undefined {
  return flavour === "MySQL" ? variables.get("server_uuid") || undefined : undefined;
}

async function readGrants(client: Client, flavour: Flavour, o: Abortable): Promise<Grants> {
  return parseGrants(
    (await grantRows(client, flavour, o)).map((row) => String(Object.values(row)[0])),
  );
}

/** The privileges of the user and of the roles that are active in a new session. */
async function grantRows(client: Client, flavour: Flavour, o: Abortable) {
  if (flavour === "MariaDB") return await client.query("SHOW GRANTS", o);
  try {
    const [row] = await client.query("SELECT CURRENT_ROLE() AS roles", o);
    const roles = String(row?.["roles"] ?? "NONE");
    if (roles !== "NONE") {
      return await client.query(`SHOW GRANTS FOR CURRENT_USER() USING ${roles}`, o);
    }
  } catch {
    // 5.7 has no roles.
  }
  return await client.query("SHOW GRANTS", o);
}
