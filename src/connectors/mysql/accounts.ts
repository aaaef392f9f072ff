import { Buffer } from "node:buffer";
import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { ArtifactFormat } from "../../contracts/format.ts";
import { type Client, quoteName, quoteText } from "./client.ts";
import { isDenied, serverCode } from "./refusals.ts";
import { createScanner } from "./scanner.ts";
import { structureError } from "./structure-error.ts";
import type { Server } from "./server.ts";
import { tokenize } from "./tokens.ts";

/** The format of the accounts artifact: SQL of one statement a line, with a first and a last line. */
export const accountsFormat: ArtifactFormat = {
  id: "mysql-accounts",
  suffix: "sql",
  walk() {
    const chunks: Uint8Array[] = [];
    return {
      push: (chunk) => void chunks.push(new Uint8Array(chunk)),
      end() {
        parseAccounts(Buffer.concat(chunks));
        return { databases: [] };
      },
    };
  },
};

/** A user or role: `name@host`, where a MariaDB role has no host. */
export interface Account {
  readonly user: string;
  readonly host: string;
  readonly isRole: boolean;
}

/** What the accounts artifact says about one account. */
export interface AccountStatements {
  /** `user@host`, as in a definer; a role's is its name alone. */
  readonly name: string;
  /** Make it; empty for PUBLIC, which is always there. */
  readonly create: string;
  /** Give it what it may do, and its default roles. */
  readonly grants: readonly string[];
}

const firstLine = "-- dbbackup accounts";
const lastLine = "-- Accounts completed";

// Made by the server for itself.
const systemUsers = ["mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys"];

// ER_PASSWORD_NO_MATCH, ER_NONEXISTING_GRANT (no grant at all, such as PUBLIC), ER_CANNOT_USER
const unknownAccount: readonly number[] = [1133, 1141, 1396];

/** Whether it can be read which users there are. */
export async function mayListAccounts(client: Client, o: Abortable): Promise<boolean> {
  return await isAllowed(client, "SELECT * FROM mysql.user LIMIT 1", o);
}

/**
 * Whether users can be read with all that they may do: the servers want SELECT on all of `mysql` for
 * that, not only on `mysql.user`.
 */
export async function mayReadAccounts(
  client: Client,
  server: Server,
  o: Abortable,
): Promise<boolean> {
  if (!await mayListAccounts(client, o)) return false;
  const other = (await listAccounts(client, server, o)).find((account) =>
    !account.isRole && accountName(account) !== server.account
  );
  if (other === undefined) return true;
  const quoted = quoteAccount(other);
  return await isAllowed(client, `SHOW GRANTS FOR ${quoted}`, o) &&
    await isAllowed(client, `SHOW CREATE USER ${quoted}`, o);
}

async function isAllowed(client: Client, sql: string, o: Abortable): Promise<boolean> {
  try {
    await client.query(sql, o);
    return true;
  } catch (error) {
    if (isDenied(error)) return false;
    // What the server cannot tell is no matter of rights.
    if (unknownAccount.includes(serverCode(error) ?? 0)) return true;
    throw error;
  }
}

/** The users and roles of a server but its own. */
export async function listAccounts(
  client: Client,
  { flavour }: Server,
  o: Abortable,
): Promise<Account[]> {
  const role = flavour === "MariaDB" ? "is_role = 'Y'" : "0";
  const rows = await client.query(
    `SELECT User AS user, Host AS host, ${role} AS role FROM mysql.user ORDER BY 1, 2`,
    o,
  );
  return rows.map((row) => ({
    user: String(row["user"]),
    host: String(row["host"]),
    isRole: Number(row["role"]) === 1,
  })).filter(({ user }) => !systemUsers.includes(user));
}

/** `user@host`, as a definer is named; a role of MariaDB has no host. */
export function accountName({ user, host, isRole }: Account): string {
  return isRole ? user : `${user}@${host}`;
}

/**
 * Users, roles and grants as SQL that the client takes as it is: what is there already keeps its
 * password and gets the grants on top. Passwords stay the hashes that the server keeps.
 */
export async function readAccounts(
  client: Client,
  server: Server,
  o: Abortable,
): Promise<{ readonly sql: string; readonly warnings: readonly string[] }> {
  const isMysql = server.flavour === "MySQL";
  // Hashes of caching_sha2_password hold bytes that no text takes.
  if (isMysql) {
    await client.query("SET SESSION print_identified_with_as_hex = ON", o).catch(ignoreUnknown);
  }
  const accounts = await listAccounts(client, server, o);
  const sections: { name: string; create: string; grants: string[] }[] = [];
  const warnings: string[] = [];
  for (const account of accounts) {
    const quoted = quoteAccount(account);
    // Everybody has this role, and nobody can make it.
    const isPublic = quoted === "PUBLIC";
    const [created] = isPublic
      ? [""]
      : account.isRole
      ? [`CREATE ROLE IF NOT EXISTS ${quoted}`]
      : await showAll(client, `SHOW CREATE USER ${quoted}`, o);
    if (created === undefined) {
      // With skip_name_resolve, the server knows no account of a named host.
      warnings.push(`Account ${accountName(account)} is not in the backup: the server ignores it`);
      continue;
    }
    const create = isPublic ? { statement: "", after: [] } : splitCreate(created, quoted);
    const shown = await showAll(client, `SHOW GRANTS FOR ${quoted}`, o);
    const grants = shown.map(withoutPassword);
    // The roles that an account has must be granted before they can be its default.
    sections.push({
      name: accountName(account),
      create: create.statement,
      grants: [...grants, ...create.after],
    });
  }
  const lines = [
    `${firstLine} of ${server.flavour} ${server.version}`,
    ...sections.flatMap(({ name, create }) =>
      create === "" ? [] : [`-- Account ${JSON.stringify(name)}`, `${create};`]
    ),
    ...sections.flatMap(({ name, grants }) => [
      `-- Grants ${JSON.stringify(name)}`,
      ...grants.map((grant) => `${grant};`),
    ]),
    lastLine,
    "",
  ];
  return { sql: lines.join("\n"), warnings };
}

/**
 * Takes an accounts artifact apart.
 *
 * @throws BackupError `verification/structure`, `verification/truncated`
 */
export function parseAccounts(bytes: Uint8Array): AccountStatements[] {
  const accounts = new Map<string, { name: string; create: string; grants: string[] }>();
  let current: { name: string; create: string; grants: string[] } | undefined;
  let isStarted = false;
  let isComplete = false;
  const piece: Uint8Array[] = [];
  let isStatement = false;
  let isGrant = false;
  const scanner = createScanner({
    span: (chunk, start, end) => void piece.push(chunk.slice(start, end)),
    known: (type) => void (isStatement = type === "statement" || type === "insert"),
    end() {
      const text = Buffer.concat(piece.splice(0)).toString("utf8");
      if (isStatement) {
        if (current === undefined) throw structureError("has a statement of no account");
        const statement = text.replace(/;$/, "");
        if (isGrant) current.grants.push(statement);
        else if (current.create === "") current.create = statement;
        else current.grants.push(statement);
        return;
      }
      isStarted ||= text.startsWith(firstLine);
      isComplete ||= text === `${lastLine}\n`;
      const [, section, name] = /^-- (Account|Grants) (".*")\n$/.exec(text) ?? [];
      if (name !== undefined) {
        isGrant = section === "Grants";
        const parsed = String(JSON.parse(name));
        current = accounts.get(parsed) ?? { name: parsed, create: "", grants: [] };
        accounts.set(parsed, current);
      }
    },
  });
  scanner.push(bytes);
  if (!isStarted) throw structureError(`does not begin with "${firstLine}"`);
  if (!isComplete || !scanner.isBetweenPieces()) {
    throw new BackupError(
      "verification/truncated",
      `The accounts end before their last line, "${lastLine}"`,
      { hint: "The file is incomplete; use another backup." },
    );
  }
  return [...accounts.values()];
}

function quoteAccount({ user, host, isRole }: Account): string {
  // PUBLIC is a keyword, which quotes would make a name.
  if (isRole && user.toUpperCase() === "PUBLIC") return "PUBLIC";
  return isRole ? quoteName(user) : `${quoteName(user)}@${quoteName(host)}`;
}

/** Moves DEFAULT ROLE out of a CREATE USER: the roles may not be there yet. */
function splitCreate(shown: string, quoted: string): { statement: string; after: string[] } {
  const statement = shown.replace(/^CREATE USER /, "CREATE USER IF NOT EXISTS ");
  const tokens = tokenize(statement, 10_000);
  const at = tokens.findIndex((token, index) =>
    isWord(token.type, token.text, "DEFAULT") &&
    isWord(tokens[index + 1]?.type, tokens[index + 1]?.text, "ROLE")
  );
  if (at < 0) return { statement, after: [] };
  // A list of `role`@`host` with commas between.
  let end = at + 2;
  while (tokens[end] !== undefined) {
    end += 1;
    if (tokens[end]?.text === "@") end += 2;
    if (tokens[end]?.text !== ",") break;
    end += 1;
  }
  const [from, to] = [tokens[at]!.start, tokens[end]?.start ?? statement.length];
  const roles = statement.slice(tokens[at + 2]!.start, to).trim();
  return {
    statement: `${statement.slice(0, from)}${statement.slice(to)}`.trim(),
    after: [`ALTER USER ${quoted} DEFAULT ROLE ${roles}`],
  };
}

function isWord(type: string | undefined, text: string | undefined, word: string): boolean {
  return type === "word" && text?.toUpperCase() === word;
}

/** MariaDB repeats the password in a grant, where it would change that of a user who is there. */
function withoutPassword(grant: string): string {
  const tokens = tokenize(grant, 10_000);
  const at = tokens.findIndex(({ type, text }) => isWord(type, text, "IDENTIFIED"));
  if (at < 0) return grant;
  const kept = ["REQUIRE", "WITH"];
  const rest = tokens.slice(at + 1).find((token, index, all) =>
    token.type === "word" && kept.includes(token.text.toUpperCase()) &&
    // IDENTIFIED WITH plugin is the older way to say VIA.
    !(index === 0 || all[index - 1] === undefined)
  );
  return `${grant.slice(0, tokens[at]!.start)}${rest === undefined ? "" : grant.slice(rest.start)}`
    .trim();
}

async function showAll(client: Client, sql: string, o: Abortable): Promise<string[]> {
  try {
    return (await client.query(sql, o)).map((row) => String(Object.values(row)[0]));
  } catch (error) {
    if (unknownAccount.includes(serverCode(error) ?? 0)) return [];
    throw error;
  }
}

function ignoreUnknown(error: unknown): readonly [] {
  // ER_UNKNOWN_SYSTEM_VARIABLE: before MySQL 8.0.17
  if (serverCode(error) === 1193) return [];
  throw error;
}

/** An account's name, quoted for SQL. */
export function quoteDefiner(name: string): string {
  const at = name.lastIndexOf("@");
  return at < 0
    ? quoteText(name)
    : `${quoteText(name.slice(0, at))}@${quoteText(name.slice(at + 1))}`;
}
