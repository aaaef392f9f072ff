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
  }));
}

/** Makes those that are not there. @returns warnings */
export async function createAccounts(
  accounts: readonly OpenAccount[],
  client: Client,
  o: Abortable,
): Promise<string[]> {
  const kept = accounts.filter(({ isThere }) => isThere).map(({ name }) => name);
  const warnings = kept.length === 0
    ? []
    : [`These accounts were there and are left as they are: ${kept.join(", ")}`];
  for (const account of accounts) {
    if (!account.isThere) warnings.push(...await run(account.create, account, client, o));
  }
  return warnings;
}

/** Gives those that were made what they may do. @returns warnings */
export async function grantAccounts(
  accounts: readonly OpenAccount[],
  client: Client,
  o: Abortable,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const account of accounts.filter(({ isThere }) => !isThere)) {
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
