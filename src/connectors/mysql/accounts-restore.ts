import { type Abortable, collect } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import {
  accountName,
  accountsFormat,
  type AccountStatements,
  listAccounts,
  parseAccounts,
} from "./accounts.ts";
import type { Client } from "./client.ts";
import type { Selection } from "./selection.ts";
import type { Server } from "./server.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** An account of the backup. */
export interface OpenAccount extends AccountStatements {
  /** Whether the target has it, so that it is left as it is. */
  readonly isThere: boolean;
  /** Whether the server would take it for the operator's own login, who then cannot log in. */
  readonly isInTheWay: boolean;
}

/** The backup's accounts; none where it holds none. */
export async function openAccounts(
  { backup }: Selection,
  client: Client,
  server: Server,
  o: Context,
): Promise<OpenAccount[]> {
  const artifact = backup.artifacts.find(({ role }) => role === "accounts");
  if (artifact?.format !== accountsFormat.id) return [];
  const present = new Set((await listAccounts(client, server, o)).map(accountName));
  return parseAccounts(await collect(artifact.open(o))).map((account) => ({
    ...account,
    isThere: present.has(account.name),
    isInTheWay: isInTheWay(account.name, server.account),
  }));
}

/**
 * Servers choose the account with the most exact host, and one without a name before one of any host:
 * another account of the operator's name, or of none, may win over the operator's own.
 */
function isInTheWay(name: string, own: string): boolean {
  const userOf = (account: string) => account.slice(0, account.lastIndexOf("@"));
  const isUser = name.includes("@");
  return isUser && name !== own && (userOf(name) === userOf(own) || userOf(name) === "");
}

/** Makes those that are not there. @returns those made, whose turn for grants comes, and warnings */
export async function createAccounts(
  accounts: readonly OpenAccount[],
  client: Client,
  o: Abortable,
): Promise<{ readonly made: readonly OpenAccount[]; readonly warnings: string[] }> {
  const named = (those: readonly OpenAccount[]) => those.map(({ name }) => name).join(", ");
  const kept = accounts.filter(({ isThere }) => isThere);
  const inTheWay = accounts.filter(({ isThere, isInTheWay }) => !isThere && isInTheWay);
  const warnings = [
    ...kept.length === 0
      ? []
      : [`These accounts were there and are left as they are: ${named(kept)}`],
    ...inTheWay.length === 0 ? [] : [
      `These accounts are not made, since they could keep this user from logging in: ${
        named(inTheWay)
      }`,
    ],
  ];
  const made: OpenAccount[] = [];
  for (const account of accounts) {
    if (account.isThere || account.isInTheWay) continue;
    const failures = account.create === "" ? [] : await run(account.create, account, client, o);
    warnings.push(...failures);
    // A grant to an account that is not there makes one without a password, on some servers.
    if (failures.length === 0) made.push(account);
  }
  return { made, warnings };
}

/** Gives accounts that were made what they may do. @returns warnings */
export async function grantAccounts(
  accounts: readonly OpenAccount[],
  client: Client,
  o: Abortable,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const account of accounts) {
    for (const grant of account.grants) warnings.push(...await run(grant, account, client, o));
  }
  return warnings;
}

/** A grant on a table that was not restored cannot be given; the rest still can. */
async function run(
  statement: string,
  { name }: OpenAccount,
  client: Client,
  o: Abortable,
): Promise<string[]> {
  try {
    await client.query(statement, o);
    return [];
  } catch (error) {
    o.signal.throwIfAborted();
    const what = statement.startsWith("CREATE") ? "made" : "given all of its grants";
    return [
      `Account ${name} could not be ${what}: ${error instanceof Error ? error.message : error}`,
    ];
  }
}
