import { type Abortable, collectText } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import type { RestorableBackup, RestoreOptions } from "../../contracts/restore.ts";
import { granteesOf, ownersOf, tablespacesOf } from "./archive/head.ts";
import { plainName, statementsOf, tokensOf } from "./archive/sql.ts";
import type { ArchiveHead } from "./archive/toc.ts";
import type { Client } from "./client.ts";
import type { Server } from "./server.ts";

const noOwner = ["--no-owner", "-O"];
const noPrivileges = ["--no-privileges", "--no-acl", "-x"];
const noTablespaces = ["--no-tablespaces"];

/** Whether the restore tool is told to leave something out. */
export function isLeftOut(what: "owner" | "privileges" | "tablespaces", args: readonly string[]) {
  const words = { owner: noOwner, privileges: noPrivileges, tablespaces: noTablespaces }[what];
  return args.some((arg) => words.includes(arg));
}

/**
 * Checks that the target has every role and tablespace that the archives name, or gets it from the
 * backup's accounts.
 *
 * @returns warnings
 * @throws BackupError `restore/missing-owners`, `restore/missing-tablespaces`
 */
export async function assertOwners(
  client: Client,
  { place, server, heads }: {
    readonly place: string;
    readonly server: Server;
    readonly heads: readonly ArchiveHead[];
  },
  backup: RestorableBackup,
  options: RestoreOptions,
  o: Abortable,
): Promise<string[]> {
  const entries = heads.flatMap(({ entries }) => entries);
  const { restoreArgs } = options;
  const accounts = backup.artifacts.find(({ role }) => role === "accounts");
  const given = accounts === undefined || !options.isWithAccounts
    ? { roles: [], tablespaces: [] }
    : accountNames(await collectText(accounts.open(o), 256 * 1024 * 1024));
  const present = await namesOf(client, place, "rolname AS name FROM pg_catalog.pg_roles", o);
  const owners = isLeftOut("owner", restoreArgs) ? [] : ownersOf(entries);
  const grantees = isLeftOut("privileges", restoreArgs) ? [] : granteesOf(entries);
  const known = new Set([...present, ...given.roles]);
  const missing = [...new Set([...owners, ...grantees])].filter((name) => !known.has(name));
  if (missing.length > 0) {
    const wayOut = accounts !== undefined && !options.isWithAccounts
      ? "Pass --accounts to restore the backup's roles, too"
      : "Create them first";
    throw new BackupError(
      "restore/missing-owners",
      `The target has no role ${missing.map((name) => `"${name}"`).join(", ")}, which the ` +
        "backup's objects belong or are granted to",
      {
        hint: `${wayOut}, or leave owners and privileges out: --restore-arg=--no-owner ` +
          "--restore-arg=--no-privileges.",
        details: { roles: missing },
      },
    );
  }
  const wantedSpaces = isLeftOut("tablespaces", restoreArgs) ? [] : tablespacesOf(entries);
  const spaces = new Set([
    ...await namesOf(client, place, "spcname AS name FROM pg_catalog.pg_tablespace", o),
    ...given.tablespaces,
  ]);
  const missingSpaces = wantedSpaces.filter((name) => !spaces.has(name));
  if (missingSpaces.length > 0) {
    throw new BackupError(
      "restore/missing-tablespaces",
      `The target has no tablespace ${missingSpaces.map((name) => `"${name}"`).join(", ")}`,
      { hint: "Create them first, or put all into the default: --restore-arg=--no-tablespaces." },
    );
  }
  return await foreignOwners(client, place, server, owners, o);
}

/** Owners that an ordinary user may not give objects to. */
async function foreignOwners(
  client: Client,
  place: string,
  server: Server,
  owners: readonly string[],
  o: Abortable,
): Promise<string[]> {
  if (server.isSuperuser || owners.length === 0) return [];
  const own = new Set(
    await namesOf(
      client,
      place,
      "rolname AS name FROM pg_catalog.pg_roles WHERE pg_catalog.pg_has_role(oid, 'MEMBER')",
      o,
    ),
  );
  const foreign = owners.filter((name) => !own.has(name));
  return foreign.length === 0 ? [] : [
    `This user is no member of ${foreign.join(", ")} and may not make objects theirs; ` +
    "--restore-arg=--no-owner makes all its own",
  ];
}

async function namesOf(client: Client, place: string, query: string, o: Abortable) {
  return (await client.rows(place, `SELECT ${query}`, o)).map((row) => String(row["name"]));
}

/** The roles and tablespaces that a text of pg_dumpall creates. */
export function accountNames(sql: string): { roles: string[]; tablespaces: string[] } {
  const roles: string[] = [];
  const tablespaces: string[] = [];
  for (const statement of statementsOf(sql)) {
    const kind = /^CREATE (ROLE|TABLESPACE) /.exec(statement)?.[1];
    if (kind === undefined) continue;
    const [name] = tokensOf(statement.slice(`CREATE ${kind} `.length));
    if (name === undefined) continue;
    (kind === "ROLE" ? roles : tablespaces).push(plainName(name.source));
  }
  return { roles, tablespaces };
}
