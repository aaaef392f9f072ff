import type { Abortable } from "../../core/bytes.ts";
import { BackupError } from "../../core/errors.ts";
import { plainName, statementsOf, tokensOf } from "./archive/sql.ts";
import type { Client } from "./client.ts";
import { sqlState } from "./failure.ts";
import { quoteName } from "./names.ts";

/** GRANT … WITH INHERIT and SET came with this release. */
const grantOptionsMajor = 16;
/** What a new role is anyway, and what only those may name who have it themselves. */
const defaultAttributes =
  / (?:NOSUPERUSER|NOCREATEROLE|NOCREATEDB|NOLOGIN|NOREPLICATION|NOBYPASSRLS)(?= |$)/g;

/** Where the statements run, and what is told of them. */
interface Scene {
  readonly client: Client;
  readonly place: string;
  readonly serverMajor: number;
  readonly warnings: string[];
}

/**
 * Creates the roles and tablespaces of a backup that the target has not, with their passwords,
 * settings and memberships. What is there already keeps its attributes and its password: the role
 * that restores is among them.
 *
 * Roles are made in one transaction, all or none. Tablespaces, which can be made in none, come after
 * it, and one that cannot be made is a warning.
 *
 * @returns warnings
 * @throws BackupError `restore/failed`; no role was made then
 */
export async function applyAccounts(
  client: Client,
  place: string,
  serverMajor: number,
  sql: string,
  o: Abortable,
): Promise<string[]> {
  const scene: Scene = { client, place, serverMajor, warnings: [] };
  const present = await client.rows(
    place,
    `SELECT 'ROLE ' || rolname AS name FROM pg_catalog.pg_roles
     UNION ALL SELECT 'TABLESPACE ' || spcname FROM pg_catalog.pg_tablespace`,
    o,
  );
  const there = new Set(present.map((row) => String(row["name"])));
  const statements = statementsOf(sql).filter((statement) =>
    /^(CREATE|ALTER|GRANT|COMMENT|SECURITY)\b/.test(statement)
  );
  const wanted = statements.filter((statement) => !there.has(subjectOf(statement) ?? ""));
  await applyRoles(scene, wanted.filter((one) => !isOfTablespace(one)), there, o);
  await applyTablespaces(scene, wanted.filter(isOfTablespace), o);
  const kept = statements.filter((one) => one.startsWith("CREATE ")).map((one) => subjectOf(one))
    .flatMap((subject) => subject !== undefined && there.has(subject) ? nameOf(subject) : [])
    .filter((name) => !name.startsWith("pg_"));
  if (kept.length > 0) {
    scene.warnings.unshift(`These were there already and stay as they are: ${kept.join(", ")}`);
  }
  return scene.warnings;
}

async function applyRoles(
  scene: Scene,
  statements: readonly string[],
  there: ReadonlySet<string>,
  o: Abortable,
): Promise<void> {
  if (statements.length === 0) return;
  const { client, place, warnings } = scene;
  const memberships = await membershipsOf(client, place, o);
  const added: string[] = [];
  await client.rows(
    place,
    "BEGIN READ WRITE; SET LOCAL standard_conforming_strings = on",
    o,
  );
  try {
    for (const statement of statements) {
      const grant = membershipOf(statement);
      if (grant !== undefined) {
        if (memberships.has(pairOf(grant))) continue;
        if (there.has(`ROLE ${grant.member}`)) added.push(`${grant.member} in ${grant.role}`);
      }
      await applyOne(scene, statement, o);
    }
    // A savepoint fails where the transaction is gone; COMMIT alone would not.
    await client.rows(place, "SAVEPOINT last; COMMIT", o);
  } catch (error) {
    if (!o.signal.aborted) await client.rows(place, "ROLLBACK", o).catch(() => {});
    throw error;
  }
  if (added.length > 0) {
    warnings.push(`Roles that were there already are members of more now: ${added.join(", ")}`);
  }
}

/** Runs one statement in the transaction, in the first of its forms that the server takes. */
async function applyOne(scene: Scene, statement: string, o: Abortable): Promise<void> {
  const { client, place, warnings } = scene;
  let refused: Error | undefined;
  for (const form of formsOf(scene, statement)) {
    try {
      // Without the transaction, on another connection, the savepoint fails and nothing is run.
      await client.rows(place, `SAVEPOINT one; ${form}; RELEASE SAVEPOINT one`, o);
      return;
    } catch (error) {
      o.signal.throwIfAborted();
      const state = sqlState(error);
      if (!(error instanceof Error) || state === undefined || state === "25P01") throw error;
      refused ??= error;
      await client.rows(place, "ROLLBACK TO SAVEPOINT one", o);
    }
  }
  if (isDispensable(statement)) {
    warnings.push(`Left out, as the server refuses it: ${shown(statement)}: ${refused!.message}`);
    return;
  }
  throw cannotRun(statement, refused!);
}

/** What may be of another release or of an extension that is not here, and holds up no role. */
function isDispensable(statement: string): boolean {
  return setting.test(statement) ||
    /^(GRANT [A-Z, ]+ ON PARAMETER|SECURITY LABEL) /.test(statement) ||
    membershipOf(statement)?.role.startsWith("pg_") === true;
}

/** A statement as it is to be run, and what to try when that is refused. */
function formsOf({ serverMajor, warnings }: Scene, statement: string): string[] {
  if (/^ALTER ROLE /.test(statement)) return [withoutDefaults(statement)];
  const grant = membershipOf(statement);
  if (grant === undefined) return [statement];
  const { options, grantor, head } = grant;
  const isOld = serverMajor < grantOptionsMajor;
  const narrowing = options.filter((one) => / FALSE$/.test(one));
  if (isOld && narrowing.length > 0) {
    warnings.push(
      `PostgreSQL ${serverMajor} knows no ${
        narrowing.join(", ")
      } of a membership: ${grant.member} ` +
        `can do more as a member of ${grant.role} than before`,
    );
  }
  const known = options.filter((one) => !isOld || /^ADMIN /.test(one));
  const plain = head + (known.length > 0 ? ` WITH ${known.join(", ")}` : "");
  // The grantor may have no such right here, or not be there.
  return grantor === undefined ? [plain] : [`${plain} GRANTED BY ${grantor}`, plain];
}

/** A new role has these already; who has not the right to give them may not even take them away. */
function withoutDefaults(statement: string): string {
  const [, head, attributes] = /^(ALTER ROLE (?:"(?:[^"]|"")*"|\S+) WITH)( [\s\S]*)$/.exec(
    statement,
  ) ?? [];
  if (head === undefined || attributes === undefined) return statement;
  const [plain = "", ...rest] = attributes.split(/(?= (?:PASSWORD|VALID UNTIL) ')/);
  return head + plain.replaceAll(defaultAttributes, "") + rest.join("");
}

async function applyTablespaces(
  { client, place, warnings }: Scene,
  statements: readonly string[],
  o: Abortable,
): Promise<void> {
  const missing = new Set<string>();
  for (const statement of statements) {
    const name = tablespaceOf(statement);
    if (name !== undefined && missing.has(name)) continue;
    try {
      await client.rows(place, statement, o);
    } catch (error) {
      o.signal.throwIfAborted();
      if (!(error instanceof Error) || sqlState(error) === undefined) throw error;
      if (/^CREATE /.test(statement) && name !== undefined) missing.add(name);
      warnings.push(
        `Cannot run ${shown(statement)}: ${error.message}. ` +
          (/^CREATE /.test(statement)
            ? "Make its folder on the server, owned by the server's user, and run it there"
            : "Run it by hand"),
      );
    }
  }
}

function cannotRun(statement: string, error: Error): BackupError {
  const subject = subjectOf(statement);
  const role = subject === undefined ? membershipOf(statement)?.role : nameOf(subject);
  const message = `Cannot restore ${role === undefined ? "the roles" : `role "${role}"`}: ` +
    `${error.message} (${shown(statement)})`;
  const again = "No role was made; run the restore again then.";
  return new BackupError("restore/failed", message, {
    cause: error,
    details: { sqlState: sqlState(error), ...role === undefined ? {} : { role } },
    hint: `${hintFor(error, role ?? "NAME")} ${again}`,
  });
}

function hintFor(error: Error, role: string): string {
  const state = sqlState(error);
  if (/password/i.test(error.message) && state !== "42501") {
    return "The server does not take this password as it is stored in the backup. Create the role " +
      `yourself, CREATE ROLE ${
        quoteName(role)
      } LOGIN, and set a password with psql's \\password: ` +
      "roles that are there stay as they are.";
  }
  if (state === "42501") {
    return "Restore as a superuser, or as a role that has CREATEROLE and every attribute that the " +
      "roles are to get; or create that role yourself.";
  }
  if (state === "42939") return "Names that begin with pg_ are the server's own.";
  return `Create the role yourself, CREATE ROLE ${quoteName(role)}: roles that are there stay as ` +
    "they are. Or restore without --accounts.";
}

/** A statement for people: in one line, without the password. */
function shown(statement: string): string {
  return statement.replace(/ PASSWORD '(?:[^']|'')*'/, "").replaceAll(/\s+/g, " ");
}

/** `ROLE app` of a statement that makes or changes a role or tablespace; none of a GRANT. */
function subjectOf(statement: string): string | undefined {
  const match = /^(?:CREATE|ALTER|COMMENT ON|SECURITY LABEL FOR \S+ ON) (ROLE|TABLESPACE) /.exec(
    statement,
  );
  if (match === null) return undefined;
  const [name] = tokensOf(statement.slice(match[0].length));
  return name === undefined ? undefined : `${match[1]} ${plainName(name.source)}`;
}

function nameOf(subject: string): string {
  return subject.replace(/^\w+ /, "");
}

function isOfTablespace(statement: string): boolean {
  return tablespaceOf(statement) !== undefined;
}

function tablespaceOf(statement: string): string | undefined {
  const subject = subjectOf(statement);
  if (subject !== undefined) return subject.startsWith("TABLESPACE ") ? nameOf(subject) : undefined;
  const granted = /^GRANT [A-Z, ]+ ON TABLESPACE /.exec(statement);
  return granted === null
    ? undefined
    : plainName(tokensOf(statement.slice(granted[0].length))[0]!.source);
}

/** That one role is a member of another. */
interface Membership {
  readonly role: string;
  readonly member: string;
  /** `GRANT role TO member` */
  readonly head: string;
  /** `ADMIN OPTION`, `INHERIT FALSE` */
  readonly options: readonly string[];
  /** As written. */
  readonly grantor: string | undefined;
}

const identifier = `("(?:[^"]|"")*"|[^\\s";,]+)`;
const setting = new RegExp(`^ALTER ROLE ${identifier} SET `);
const membership = new RegExp(
  `^(GRANT ${identifier} TO ${identifier})(?: WITH ([A-Z, ]+?))?(?: GRANTED BY ${identifier})?$`,
);

function membershipOf(statement: string): Membership | undefined {
  const match = membership.exec(statement);
  if (match === null) return undefined;
  const [, head, role, member, options = "", grantor] = match;
  return {
    role: plainName(role!),
    member: plainName(member!),
    head: head!,
    options: options === "" ? [] : options.split(", "),
    grantor,
  };
}

/** Those that are there, so that they stay as they are. */
async function membershipsOf(client: Client, place: string, o: Abortable): Promise<Set<string>> {
  const rows = await client.rows(
    place,
    `SELECT r.rolname::text AS role, m.rolname::text AS member FROM pg_catalog.pg_auth_members
     JOIN pg_catalog.pg_roles r ON r.oid = roleid JOIN pg_catalog.pg_roles m ON m.oid = member`,
    o,
  );
  return new Set(
    rows.map(({ role, member }) => pairOf({ role: String(role), member: String(member) })),
  );
}

function pairOf({ role, member }: { role: string; member: string }): string {
  return JSON.stringify([role, member]);
}
