import type { Omission } from "../../contracts/manifest.ts";
import { listed } from "../../core/text.ts";
import type { MysqlAddress } from "./address.ts";
import { quoteName, quoteText } from "./client.ts";
import type { Program, Relation } from "./databases.ts";
import type { MissedFloat } from "./floats.ts";
import type { Server } from "./server.ts";
import type { View } from "./views.ts";

/** The names that a job may accept. */
export const omissionNames = [
  "databases",
  "tables",
  "views",
  "routines",
  "triggers",
  "events",
  "accounts",
  "server-objects",
  "float-digits",
] as const;
/** See {@link omissionNames}. */
export type OmissionName = (typeof omissionNames)[number];

/** What there is, as this user sees it. */
export interface Sight {
  readonly databases: readonly string[];
  readonly relations: readonly Relation[];
  /** What the job leaves out on purpose, with the views that read it; not among the relations. */
  readonly excluded: readonly Relation[];
  /** Views that are left out because they read what is. */
  readonly orphans: readonly View[];
  /** Whether a view WITH CHECK OPTION is among the relations. */
  readonly hasCheckedViews: boolean;
  readonly programs: readonly Program[];
  /** Whether users and grants can be read. */
  readonly hasAccounts: boolean;
  /** Loadable functions and servers of remote tables, which belong to no database. */
  readonly serverObjects: readonly string[];
}

/** What a dump would leave out, because this user may not see it or may not read it. */
export function omissionsOf(server: Server, { selected }: MysqlAddress, sight: Sight): Omission[] {
  const { grants } = server;
  const lacking = (privilege: string) =>
    sight.databases.filter((database) => !grants.has(privilege, database));
  return [
    ...selected === undefined && !seesAllDatabases(server)
      ? [denied("databases", `user ${server.account} sees only its own databases`, [], [
        grantOf("SHOW DATABASES", "*.*", server),
      ])]
      : [],
    ...unreadable(
      "tables",
      "SELECT",
      server,
      lacking("SELECT"),
      tablesWithoutSelect(server, sight),
    ),
    ...unreadable("views", "SHOW VIEW", server, [], viewsWithoutShow(server, sight)),
    ...routinesLeftOut(server, sight),
    ...unreadable("triggers", "TRIGGER", server, lacking("TRIGGER"), []),
    ...unreadable("events", "EVENT", server, lacking("EVENT"), []),
    // One database's dump is complete without the server's accounts.
    ...selected === undefined && !sight.hasAccounts
      ? [denied("accounts", `user ${server.account} may not read users and grants`, [], [
        grantOf("SELECT", "mysql.*", server),
      ])]
      : [],
    ...selected === undefined && sight.serverObjects.length > 0
      ? [{
        name: "server-objects",
        reason:
          "loadable functions (CREATE FUNCTION … SONAME) and remote servers (CREATE SERVER) " +
          "are in no database",
        hint: "Keep their statements elsewhere.",
        objects: [...sight.serverObjects],
      }]
      : [],
  ];
}

/** FLOAT columns that the tool could not be helped with. */
export function roundedFloats(missed: readonly MissedFloat[]): Omission[] {
  if (missed.length === 0) return [];
  const columns = missed.map(({ database, name, column }) => ({
    database,
    name: `${name}.${column}`,
  }));
  const reason = "the dump tools write FLOAT with 6 digits, and these columns could not be read " +
    "with all of theirs";
  return [{
    ...omission("float-digits", reason, columns),
    hint: "Run it again: they may have been altered meanwhile, or dumpArgs changes how the tool " +
      "connects or reads rows. DOUBLE needs no such help.",
  }];
}

/** Tables and views that are seen but whose rows may not be read, as `database.name`. */
export function tablesWithoutSelect({ grants }: Server, { relations }: Sight): Relation[] {
  return relations.filter(({ database, name }) => !grants.hasOnTable("SELECT", database, name));
}

/** Views whose definition may not be read. */
export function viewsWithoutShow({ grants }: Server, { relations }: Sight): Relation[] {
  return relations.filter(({ type, database, name }) =>
    type === "view" && !grants.hasOnTable("SHOW VIEW", database, name)
  );
}

/** Whether any routine's text is known to be closed to this user, on which the tool would fail. */
export function closedRoutines({ programs }: Sight): Program[] {
  return programs.filter(({ type, isReadable }) => type === "routine" && !isReadable);
}

function routinesLeftOut(server: Server, sight: Sight): Omission[] {
  if (readsAllRoutines(server)) return [];
  const { grants } = server;
  const closed = closedRoutines(sight);
  // Who may run or change all routines of a database sees that there are any.
  const unseen = sight.databases.filter((database) =>
    !["EXECUTE", "ALTER ROUTINE", "CREATE ROUTINE"].some((name) => grants.has(name, database))
  );
  if (closed.length === 0 && unseen.length === 0) return [];
  const reason = closed.length > 0
    ? `user ${server.account} may not read the text of ${listed(closed.map(dotted))}`
    : `user ${server.account} may not see routines of ${listed(unseen)}, if there are any`;
  return [denied("routines", reason, closed, [
    server.flavour === "MySQL"
      ? grantOf("SHOW_ROUTINE", "*.*", server)
      : grantOf("SELECT", "mysql.proc", server),
  ])];
}

function readsAllRoutines({ flavour, grants }: Server): boolean {
  if (grants.has("SELECT")) return true;
  return flavour === "MySQL"
    ? grants.has("SHOW_ROUTINE")
    : grants.hasOnTable("SELECT", "mysql", "proc") || grants.has("SHOW CREATE ROUTINE");
}

function seesAllDatabases({ grants }: Server): boolean {
  return grants.has("SHOW DATABASES") || grants.has("SELECT");
}

function unreadable(
  name: OmissionName,
  privilege: string,
  server: Server,
  databases: readonly string[],
  relations: readonly Relation[],
): Omission[] {
  if (databases.length > 0) {
    const wheres = databases.map((database) => `${quoteName(database)}.*`);
    const reason = `user ${server.account} has no ${privilege} privilege on ${listed(wheres)}`;
    return [denied(name, reason, relations, wheres.map((one) => grantOf(privilege, one, server)))];
  }
  if (relations.length === 0) return [];
  const reason = `user ${server.account} has no ${privilege} privilege on ${
    listed(relations.map(dotted))
  }`;
  return [denied(
    name,
    reason,
    relations,
    relations.map((one) => {
      return grantOf(privilege, `${quoteName(one.database)}.${quoteName(one.name)}`, server);
    }),
  )];
}

// More are better granted on a whole database.
const mostGrants = 5;

/** Something that this user may not read, and the statements that let it. */
function denied(
  name: OmissionName,
  reason: string,
  objects: readonly { readonly database: string; readonly name: string }[],
  grants: readonly string[],
): Omission {
  return {
    ...omission(name, reason, objects),
    hint: `Run: ${grants.slice(0, mostGrants).join("; ")}${
      grants.length > mostGrants ? "; …" : "."
    }`,
  };
}

/** `GRANT SELECT ON `shop`.* TO 'app'@'%'` */
function grantOf(privilege: string, where: string, { account }: Server): string {
  const at = account.lastIndexOf("@");
  const [user, host] = [account.slice(0, at), account.slice(at + 1)];
  return `GRANT ${privilege} ON ${where} TO ${quoteText(user)}@${quoteText(host)}`;
}

function dotted({ database, name }: { readonly database: string; readonly name: string }): string {
  return `${database}.${name}`;
}

function omission(
  name: OmissionName,
  reason: string,
  objects: readonly { readonly database: string; readonly name: string }[] = [],
): Omission {
  const named = objects.map(({ database, name }) => `${database}.${name}`);
  return { name, reason, ...named.length === 0 ? {} : { objects: named } };
}
