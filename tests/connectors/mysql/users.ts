import { freshName } from "../../support/freshName.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";

/** Passwords that option files, shells and URLs trip over. */
export const passwords = [
  "p#a s'w\"o\\rd@%41;é",
  '"quoted"',
  "' lead and trail ",
  "\\n\\\\s\\",
];

/** A new user with these grants, such as `SELECT ON db.*`. @returns its name */
export async function freshUser(
  server: MysqlServer,
  password: string,
  grants: readonly string[],
): Promise<string> {
  const name = freshName();
  const quoted = password.replaceAll("\\", "\\\\").replaceAll("'", "''");
  await server.sql(
    "",
    [
      `CREATE USER '${name}'@'%' IDENTIFIED BY '${quoted}'`,
      ...grants.map((grant) => `GRANT ${grant} TO '${name}'@'%'`),
      "",
    ].join(";\n"),
  );
  return name;
}
