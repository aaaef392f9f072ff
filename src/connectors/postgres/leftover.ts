import { createHash } from "node:crypto";
import type { Abortable } from "../../core/bytes.ts";
import type { RestorableArtifact, RestoreOptions } from "../../contracts/restore.ts";
import type { Client, Row } from "./client.ts";
import { sqlState } from "./failure.ts";
import { quoteName, quoteText } from "./names.ts";

/** Whose a database is that a restore has made and not yet put in its place. */
export interface RestoreMark {
  /** RestoreOptions.backupId. */
  readonly backupId: string;
  /** Tells this archive, or part of one, from all others. */
  readonly archive: string;
  readonly from: string;
  readonly to: string;
  /** `complete`: pg_restore has come to its end. */
  readonly state: "unfinished" | "complete";
  /** The comment that it had before, where it was there already. */
  readonly comment?: string;
}

/** A marked database. */
export interface Leftover extends RestoreMark {
  /** Its name now. */
  readonly name: string;
  /** Others are connected to it: maybe the restore that makes it. */
  readonly isInUse: boolean;
}

/** The mark of a restore of one artifact, or the part of it that is asked for. */
export function markOf(
  { from, to }: { readonly from: string; readonly to: string },
  artifact: RestorableArtifact,
  { backupId, only }: RestoreOptions,
  state: RestoreMark["state"],
): RestoreMark {
  const hash = createHash("sha256").update(JSON.stringify([artifact.rawSha256, ...only]));
  return { backupId, archive: hash.digest("hex").slice(0, 16), from, to, state };
}

/** Whether a leftover is of the very same restore. */
export function isOf(one: RestoreMark, wanted: RestoreMark): boolean {
  return one.state === wanted.state && one.backupId === wanted.backupId &&
    one.archive === wanted.archive && one.from === wanted.from && one.to === wanted.to;
}

/**
 * Marks a database by its comment: only that can be set by whoever owns it, is seen by all, and goes
 * with the database when that is renamed.
 *
 * @throws PostgresError
 */
export async function markDatabase(
  client: Client,
  place: string,
  name: string,
  mark: RestoreMark,
  o: Abortable,
): Promise<void> {
  const text = quoteText(textOf(mark)).trim();
  await client.rows(place, `COMMENT ON DATABASE ${quoteName(name)} IS ${text}`, o);
}

/** Marks a database that was there before, keeping its comment. @returns whether this user may */
export async function markInPlace(
  client: Client,
  name: string,
  mark: RestoreMark,
  o: Abortable,
): Promise<boolean> {
  const [row] = await client.rows(
    name,
    `SELECT pg_catalog.shobj_description(oid, 'pg_database') AS comment
       FROM pg_catalog.pg_database WHERE datname = current_database()`,
    o,
  );
  const present = row?.["comment"];
  const before = typeof present === "string" ? parseMark(present)?.comment ?? present : undefined;
  try {
    await markDatabase(client, name, name, {
      ...mark,
      ...before === undefined ? {} : { comment: before },
    }, o);
    return true;
  } catch (error) {
    o.signal.throwIfAborted();
    if (sqlState(error) === undefined) throw error;
    return false;
  }
}

/** Takes a mark away again. @throws PostgresError */
export async function unmark(
  client: Client,
  { name, comment }: Leftover,
  o: Abortable,
): Promise<void> {
  const text = comment === undefined ? "NULL" : quoteText(comment);
  await client.rows(name, `COMMENT ON DATABASE ${quoteName(name)} IS ${text}`, o);
}

/** Every database that a restore has marked. @throws PostgresError */
export async function findLeftovers(
  client: Client,
  place: string,
  o: Abortable,
): Promise<Leftover[]> {
  const rows = await client.rows(
    place,
    `SELECT datname::text AS name, pg_catalog.shobj_description(oid, 'pg_database') AS comment,
            EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a
              WHERE a.datid = d.oid AND a.pid <> pg_catalog.pg_backend_pid()) AS is_in_use
       FROM pg_catalog.pg_database d
      WHERE pg_catalog.shobj_description(oid, 'pg_database') LIKE 'dbbackup: restore of %'
      ORDER BY oid`,
    o,
  );
  return rows.flatMap(leftoverOf);
}

function leftoverOf(row: Row): Leftover[] {
  const mark = parseMark(String(row["comment"]));
  if (mark === undefined) return [];
  return [{ ...mark, name: String(row["name"]), isInUse: row["is_in_use"] === true }];
}

/** In ASCII: the server gives a comment back in the bytes of the database that it was set from. */
function textOf({ from, to, backupId, archive, state, comment }: RestoreMark): string {
  const quoted = (name: string) =>
    JSON.stringify(name).replaceAll(
      /[^\x20-\x7e]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  const mark = `dbbackup: restore of ${quoted(from)} from backup ${backupId} (${archive}) as ` +
    `${quoted(to)}, ${state}`;
  return comment === undefined ? mark : `${mark}; before: ${comment}`;
}

function parseMark(text: string): RestoreMark | undefined {
  const name = String.raw`("(?:[^"\\]|\\.)*")`;
  const match = new RegExp(
    `^dbbackup: restore of ${name} from backup (\\S+) \\((\\w+)\\) as ${name}, ` +
      "(unfinished|complete)(?:; before: ([\\s\\S]*))?$",
  ).exec(text);
  if (match === null) return undefined;
  const [, from, backupId, archive, to, state, comment] = match;
  return {
    backupId: backupId!,
    archive: archive!,
    from: String(JSON.parse(from!)),
    to: String(JSON.parse(to!)),
    state: state === "complete" ? "complete" : "unfinished",
    ...comment === undefined ? {} : { comment },
  };
}
