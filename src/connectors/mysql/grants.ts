import { type Token, tokenize } from "./tokens.ts";

/** What a user may do, as SHOW GRANTS says it. */
export interface Grants {
  /** Whether a privilege holds for all databases, or for the whole of this one. */
  has(privilege: string, database?: string): boolean;
  /** Whether a privilege holds for a table, by any grant. */
  hasOnTable(privilege: string, database: string, table: string): boolean;
}

interface Grant {
  readonly privileges: ReadonlySet<string>;
  /** `*` for all databases. A pattern with `%` and `_` otherwise. */
  readonly database: string;
  /** `*` for a whole database. */
  readonly table: string;
  readonly isRevoked: boolean;
}

// Grants are short but for lists of dynamic privileges.
const tokenLimit = 2_000;

/** Reads the lines of SHOW GRANTS. Roles that are not active are not followed. */
export function parseGrants(lines: readonly string[]): Grants {
  const grants = lines.flatMap((line) => parseGrant(line) ?? []);
  const covers = (grant: Grant, database: string | undefined) =>
    grant.database === "*" || (database !== undefined && matches(grant.database, database));
  const holds = (grant: Grant, privilege: string) =>
    grant.privileges.has(privilege) ||
    (grant.privileges.has("ALL PRIVILEGES") &&
      !(isGlobalOnly(privilege) && grant.database !== "*"));
  function has(privilege: string, database?: string): boolean {
    // Partial revokes (MySQL) take a database out of what is granted for all.
    const isRevoked = database !== undefined &&
      grants.some((grant) =>
        grant.isRevoked && grant.database === database && holds(grant, privilege)
      );
    return grants.some((grant) =>
      !grant.isRevoked && grant.table === "*" && holds(grant, privilege) &&
      covers(grant, database) && !(isRevoked && grant.database === "*")
    );
  }
  return {
    has,
    hasOnTable: (privilege, database, table) =>
      has(privilege, database) ||
      grants.some((grant) =>
        !grant.isRevoked && grant.database === database && grant.table === table &&
        holds(grant, privilege)
      ),
  };
}

function parseGrant(line: string): Grant | undefined {
  const tokens = tokenize(line, tokenLimit);
  const verb = upper(tokens[0]);
  if (verb !== "GRANT" && verb !== "REVOKE") return undefined;
  const on = tokens.findIndex((token) => upper(token) === "ON");
  // A role: GRANT `r`@`%` TO …
  if (on < 0) return undefined;
  let at = on + 1;
  const kind = upper(tokens[at]);
  if (kind === "FUNCTION" || kind === "PROCEDURE" || kind === "PACKAGE") return undefined;
  if (kind === "TABLE") at++;
  const [database, dot, table] = [tokens[at], tokens[at + 1], tokens[at + 2]];
  if (database === undefined || dot?.text !== "." || table === undefined) return undefined;
  return {
    privileges: new Set(privilegesOf(line.slice(tokens[0]!.end, tokens[on]!.start))),
    database: database.text,
    table: table.text,
    isRevoked: verb === "REVOKE",
  };
}

/** Privileges of some columns only do not count. */
function privilegesOf(list: string): string[] {
  const withoutColumns = list.replaceAll(/\s*\([^)]*\)/g, "(columns)");
  const names = withoutColumns.split(",").map((name) => name.trim().toUpperCase());
  return names.map((name) => name === "ALL" ? "ALL PRIVILEGES" : name);
}

function upper(token: Token | undefined): string | undefined {
  return token?.type === "word" ? token.text.toUpperCase() : undefined;
}

/** `%` and `_` of a grant's database, unless escaped. */
function matches(pattern: string, database: string): boolean {
  const source = pattern.replace(/\\([%_])|([%_])|([^\w%_\\])|(\\)/g, (all, escaped, wild) => {
    if (escaped !== undefined) return escaped;
    if (wild !== undefined) return wild === "%" ? "[^]*" : "[^]";
    return `\\${all}`;
  });
  return new RegExp(`^${source}$`, "i").test(database);
}

/** What ALL PRIVILEGES of one database does not include. */
function isGlobalOnly(privilege: string): boolean {
  return !databasePrivileges.has(privilege);
}

const databasePrivileges = new Set([
  "SELECT",
  "INSERT",
  "UPDATE",
  "DELETE",
  "CREATE",
  "DROP",
  "REFERENCES",
  "INDEX",
  "ALTER",
  "CREATE TEMPORARY TABLES",
  "LOCK TABLES",
  "EXECUTE",
  "CREATE VIEW",
  "SHOW VIEW",
  "CREATE ROUTINE",
  "ALTER ROUTINE",
  "EVENT",
  "TRIGGER",
  "DELETE HISTORY",
  "SHOW CREATE ROUTINE",
]);
