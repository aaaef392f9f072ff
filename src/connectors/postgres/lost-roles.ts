import type { Abortable } from "../../core/bytes.ts";
import { listed } from "../../core/text.ts";
import type { Client } from "./client.ts";
import { quoteName } from "./names.ts";

const mostShown = 5;

/**
 * Finds what belongs or is granted to roles that are gone. The server forbids to drop a role that has
 * something, but one that is dropped at the moment of a GRANT slips through; pg_dump then gives up,
 * or writes the role's number for its name.
 *
 * @returns a sentence for each such role
 */
export async function lostRoleWarnings(
  client: Client,
  database: string,
  o: Abortable,
): Promise<string[]> {
  const rows = await client.rows(
    database,
    `SELECT d.refobjid::text AS role,
            CASE d.deptype WHEN 'o' THEN 'owner' WHEN 'r' THEN 'policy' ELSE 'grant' END AS kind,
            pg_catalog.pg_describe_object(d.classid, d.objid, 0) AS object
       FROM pg_catalog.pg_shdepend d, pg_catalog.pg_database b
      WHERE b.datname = pg_catalog.current_database() AND d.deptype IN ('o', 'a', 'r')
        AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
        AND (d.dbid = b.oid OR d.dbid = 0 AND d.objid = b.oid
          AND d.classid = 'pg_catalog.pg_database'::pg_catalog.regclass)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = d.refobjid)
      ORDER BY 1, 2, 3`,
    o,
  );
  const roles = [...new Set(rows.map((row) => String(row["role"])))];
  return roles.map((role) => {
    const of = (kind: string) =>
      rows.filter((row) => row["role"] === role && row["kind"] === kind)
        .map((row) => String(row["object"]));
    const [owned, granted, policies] = [of("owner"), of("grant"), of("policy")];
    return [
      `In "${database}", the role with OID ${role} is gone, and not all that it had.`,
      ...owned.length === 0 ? [] : [
        `It owns ${shown(owned)}, where pg_dump gives up: ALTER … OWNER TO another one.`,
      ],
      ...granted.length === 0 ? [] : [
        `It has privileges on ${shown(granted)}, which a dump grants to its number: CREATE ROLE ` +
        `${quoteName(role)} before a restore, and DROP OWNED BY and DROP ROLE after it.`,
      ],
      ...policies.length === 0 ? [] : [
        `${shown(policies)} is for it, which no restore can make: ALTER POLICY … TO another one.`,
      ],
    ].join(" ");
  });
}

function shown(objects: readonly string[]): string {
  return listed(objects, mostShown);
}
