import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import type { Runtime } from "../../core/runtime.ts";
import type {
  RestorableChain,
  RestoreOptions,
  RestorePlan,
  RestoreStep,
} from "../../contracts/restore.ts";
import type { DatabaseInventory } from "../../contracts/inventory.ts";
import { checked, refuse } from "../../contracts/refusal.ts";
import { accountName, listAccounts, mayListAccounts, quoteDefiner } from "./accounts.ts";
import type { MysqlAddress } from "./address.ts";
import type { Client } from "./client.ts";
import { isInternal, listPrograms, listRelations, presentDatabases } from "./databases.ts";
import { isMarked } from "./marker.ts";
import { judgeAbroad, lookAbroad } from "./other-flavour.ts";
import { select, type Selection } from "./selection.ts";
import { compareVersions, readServer, type Server } from "./server.ts";
import { assertReplayable } from "./binlog/replayable.ts";
import { requireTool, toolWarnings } from "./tools.ts";

/** Finds out what a restore would do. */
export async function planRestore(
  client: Client,
  address: MysqlAddress,
  chain: RestorableChain,
  options: RestoreOptions,
  o: Abortable & { runtime: Runtime },
): Promise<RestorePlan> {
  const selection = select(chain, options, address);
  const server = await readServer(client, o);
  await checked(() => assertNewEnough(selection, server), options);
  const tool = await checked(() => requireTool("restore", server, address, o), options);
  if (selection.later.length > 0) {
    await checked(() => assertReplayable(selection, { address, server, options }, o), options);
  }
  const present = await presentDatabases(client, o);
  if (server.foldsNames) assertNoTwins(selection);
  const steps: RestoreStep[] = [];
  for (const database of selection.databases) {
    const wanted = targetName(database.database, selection, address);
    const to = server.foldsNames ? sameName(wanted, present) : wanted;
    assertMayBeMade(to);
    steps.push(await planDatabase(database, to, { client, present, selection, options }, o));
  }
  const isReplacing = steps.some(({ mode }) => mode === "replace");
  const abroad = await lookAbroad(client, selection, server, o);
  const foreign = abroad === undefined
    ? []
    : await checked(() => judgeAbroad(selection, abroad, isReplacing, options), options) ?? [];
  const owners = await checked(() => checkOwners(client, server, selection, options, o), options) ??
    [];
  return {
    steps,
    isCheckedFirst: isReplacing,
    warnings: [
      ...tool === undefined ? [] : toolWarnings(tool, server),
      ...foreign,
      ...owners,
      ...copyWarnings(steps, selection),
      ...warningsOf(selection, options),
    ],
    target: `${server.flavour} ${server.version} at ${address.label}`,
    sourceId: server.sourceId,
    locks: steps.map(({ to }) => `${server.instance} ${to}`),
  };
}

function assertNewEnough({ backup }: Selection, server: Server): void {
  const { flavour, version } = backup.manifest.source;
  if (flavour !== server.flavour || compareVersions(server.version, version, 2) >= 0) return;
  const series = version.split(".").slice(0, 2).join(".");
  throw new BackupError(
    "restore/target-too-old",
    `The target runs ${flavour} ${server.version}, older than the ${version} that was dumped`,
    { hint: `Restore to a server of version ${series} or newer.` },
  );
}

/**
 * Refuses what no server takes as a database's name
 * (https://dev.mysql.com/doc/refman/9.4/en/identifiers.html), and the databases of the server itself.
 *
 * @throws BackupError `restore/bad-name`
 */
function assertMayBeMade(name: string): void {
  if (isInternal(name)) {
    throw new BackupError("restore/bad-name", `"${name}" is the server's own database`, {
      hint: "Restore into a database of another name; --accounts restores users and grants.",
    });
  }
  // Characters beyond the first plane of Unicode cannot be in names.
  if (name !== "" && [...name].length <= 64 && !/[ ]$|[\0\u{10000}-\u{10ffff}]/u.test(name)) return;
  throw new BackupError("restore/bad-name", `No database can have the name "${name}"`, {
    hint: "Names have 1 to 64 characters, no space at their end, and no emoji.",
  });
}

/** The name that a database has on a server to which upper and lower case are one. */
function sameName(name: string, present: ReadonlySet<string>): string {
  const folded = name.toLowerCase();
  return [...present].find((one) => one.toLowerCase() === folded) ?? folded;
}

/**
 * Two that differ by upper and lower case alone would become one there.
 *
 * @throws BackupError `restore/name-clash`
 */
function assertNoTwins({ databases }: Selection): void {
  const seen = new Map<string, string>();
  for (const { database, objects } of databases) {
    for (const { type, name } of [{ type: "database", name: "" }, ...objects]) {
      if (!["database", "table", "view", "sequence"].includes(type)) continue;
      const full = name === "" ? database : `${database}.${name}`;
      const twin = seen.get(full.toLowerCase());
      if (twin !== undefined) {
        throw new BackupError(
          "restore/name-clash",
          `"${twin}" and "${full}" are one name on the target, which takes upper and lower case as one`,
          {
            hint: "Restore to a server with lower_case_table_names=0, or one of them with --only.",
          },
        );
      }
      seen.set(full.toLowerCase(), full);
    }
  }
}

/** The target's URL may name another database, for a backup or choice of one. */
function targetName(from: string, { databases }: Selection, { selected, label }: MysqlAddress) {
  if (selected === undefined || selected.includes(from)) return from;
  if (databases.length === 1 && selected.length === 1) return selected[0]!;
  const names = databases.map(({ database }) => database).join(", ");
  throw new BackupError(
    "restore/no-such-object",
    `Cannot tell which of the backup's databases (${names}) goes into ${label}`,
    { hint: "Choose one database of the backup, or name no database in the target's URL." },
  );
}

/**
 * A copy under another name may still work on the original: bodies of routines and triggers are kept
 * as they were written.
 */
function copyWarnings(steps: readonly RestoreStep[], { databases }: Selection): string[] {
  return steps.flatMap(({ from, to }) => {
    if (from === to) return [];
    const pointing = databases.find(({ database }) => database === from)!.objects
      .filter(({ namesDatabase }) => namesDatabase === true);
    if (pointing.length === 0) return [];
    const named = pointing.map(({ type, name }) => `${type} ${name}`);
    const shown = named.length > 10 ? [...named.slice(0, 10), `${named.length - 10} more`] : named;
    return [
      `In "${to}", ${counted(pointing.length, "object")} will still read or WRITE database ` +
      `"${from}", which their text names: ${shown.join(", ")}. Change them before anything uses ` +
      `"${to}"`,
    ];
  });
}

async function planDatabase(
  { database: from, objects }: DatabaseInventory,
  to: string,
  { client, present, selection, options }: {
    readonly client: Client;
    readonly present: ReadonlySet<string>;
    readonly selection: Selection;
    readonly options: RestoreOptions;
  },
  o: Abortable,
): Promise<RestoreStep> {
  if (!present.has(to)) return { from, to, mode: "create" };
  const relations = await listRelations(client, [to], o);
  const programs = selection.isPartial ? [] : await listPrograms(client, [to], o);
  const wanted = new Set(objects.map(({ name }) => name));
  const inTheWay = [
    ...relations.filter(({ name }) => !selection.isPartial || wanted.has(name)),
    ...programs,
  ].map(({ name }) => name);
  if (inTheWay.length === 0) return { from, to, mode: "fill" };
  // What was left of a chain lacks its changes.
  const mayAdopt = !selection.isPartial && selection.later.length === 0;
  if (options.isDifferenceAccepted && mayAdopt) {
    if (await isMarked(client, to, options.backupId, o)) {
      return { from, to, mode: "fill", adopts: to };
    }
  }
  if (!options.isOverwrite) {
    const named = inTheWay.slice(0, 5).map((name) => `"${name}"`).join(", ");
    const refusal = `Database "${to}" has ${counted(inTheWay.length, "object")} already: ${named}`;
    const hint = "Restore into another database, or pass --overwrite: what is there is then lost.";
    refuse(new BackupError("restore/not-empty", refusal, { hint }), options);
  }
  const what = selection.isPartial
    ? `${inTheWay.join(", ")} of database "${to}"`
    : `Database "${to}"`;
  return {
    from,
    to,
    mode: "replace",
    loses: `${what} is dropped first: ${counted(inTheWay.length, "object")}. ` +
      "The server cannot rename a database, so nothing of it is kept",
  };
}

/**
 * Views, routines, triggers and events run in the name of an account, which must be there.
 *
 * @throws BackupError `restore/missing-owners`, `connection/denied`
 */
async function checkOwners(
  client: Client,
  server: Server,
  { databases }: Selection,
  options: RestoreOptions,
  o: Abortable,
): Promise<string[]> {
  const owners = new Set(
    databases.flatMap(({ objects }) => objects.flatMap(({ owner }) => owner ?? [])),
  );
  owners.delete("");
  if (owners.size === 0) return [];
  assertMayDefine(server, owners);
  if (!await mayListAccounts(client, o)) {
    const others = [...owners].filter((name) => name !== server.account);
    return others.length === 0 ? [] : [
      `This user may not see whether the accounts exist in whose names objects run: ` +
      others.join(", "),
    ];
  }
  const present = new Set((await listAccounts(client, server, o)).map(accountName));
  const missing = [...owners].filter((name) => !present.has(name));
  if (missing.length === 0) return [];
  const named = missing.map(quoteDefiner).join(", ");
  if (options.isWithAccounts) {
    return [`Objects run in the names of ${named}, which are not there; --accounts may bring them`];
  }
  throw new BackupError(
    "restore/missing-owners",
    `The target has no account ${named}, in whose name objects of the backup run`,
    {
      hint: `Restore the backup's accounts too with --accounts, or make them: ` +
        `CREATE USER ${quoteDefiner(missing[0]!)} ACCOUNT LOCK.`,
      details: { missing },
    },
  );
}

/** Objects in another's name need a privilege, without which the restore would stop halfway. */
function assertMayDefine({ flavour, grants, account }: Server, owners: ReadonlySet<string>): void {
  const others = [...owners].filter((name) => name !== account);
  if (others.length === 0) return;
  const names = flavour === "MariaDB"
    ? ["SET USER", "SUPER"]
    : ["SET_ANY_DEFINER", "SET_USER_ID", "SUPER"];
  if (names.some((name) => grants.has(name))) return;
  throw new BackupError(
    "connection/denied",
    `${account} may not make objects in the name of ${others.map(quoteDefiner).join(", ")}`,
    { hint: `Grant it ${names[0]} ON *.*, or restore as an administrator.` },
  );
}

function warningsOf({ backup, isPartial }: Selection, options: RestoreOptions): string[] {
  const hasAccounts = backup.artifacts.some(({ role }) => role === "accounts");
  if (!options.isWithAccounts) return [];
  if (!hasAccounts) return ["The backup holds no users and grants"];
  return isPartial ? ["All users and grants of the backup are restored, not only some"] : [];
}
