import { z } from "zod";
import type { Positions } from "../../../contracts/changes.ts";
import type { Position } from "../../../contracts/manifest.ts";
import { BackupError } from "../../../core/errors.ts";
import { compareGtid } from "./gtid.ts";

/**
 * Where a backup stands in a server's binary log. Names of files are used again after RESET MASTER, a
 * failover or a rollback of the machine; what else is in it tells one history from another.
 */
export const placeSchema = z.looseObject({
  type: z.literal("binlog"),
  /** `binlog.000007` */
  file: z.string(),
  /** In bytes; between two transactions. */
  offset: z.number().int().nonnegative(),
  /** The transactions up to there: MySQL's set, MariaDB's last of each domain. */
  gtid: z.string().optional(),
  /** MySQL's server_uuid. */
  server: z.string().optional(),
  /** When the file was begun, in seconds since 1970. */
  begun: z.number().int().optional(),
  /** The last event before it: where it starts, and the CRC32 of its bytes. */
  last: z.looseObject({ start: z.number().int(), crc: z.number().int() }).optional(),
});
/** See {@link placeSchema}. */
export type Place = z.infer<typeof placeSchema>;

/** Where in the log, whatever its history. */
export type LogPlace = Readonly<Pick<Place, "file" | "offset">>;

/** Reads a position; undefined for those of another log. */
export function placeOf(position: Position | undefined): Place | undefined {
  return placeSchema.safeParse(position).data;
}

/** What people ask for, where it is no place but a transaction: `uuid:23`, `0-1-100`. */
const gtidSchema = z.looseObject({ type: z.literal("binlog"), gtid: z.string() });

/** The GTIDs that a position is about, where it has no file. */
export function wantedGtid(position: Position): string | undefined {
  return placeOf(position) === undefined ? gtidSchema.safeParse(position).data?.gtid : undefined;
}

/** How places relate. */
export const binlogPositions: Positions = {
  compare(a, b) {
    const [one, other] = [placeOf(a), placeOf(b)];
    if (one !== undefined && other !== undefined) return comparePlaces(one, other);
    // A transaction is where it has just been committed.
    const [gtidOfA, gtidOfB] = [wantedGtid(a), wantedGtid(b)];
    if (one?.gtid !== undefined && gtidOfB !== undefined) return compareGtid(one.gtid, gtidOfB);
    if (other?.gtid !== undefined && gtidOfA !== undefined) {
      return -compareGtid(other.gtid, gtidOfA);
    }
    return gtidOfA !== undefined && gtidOfA === gtidOfB ? 0 : undefined;
  },
  parse(text) {
    const [, file, offset] = /^([^:]+\.\d+):(\d+)$/.exec(text.trim()) ?? [];
    if (file !== undefined) return { type: "binlog", file, offset: Number(offset) };
    const gtid = text.replaceAll(/\s+/g, "");
    const isGtid = gtid.split(",").every((one) =>
      /^\d+-\d+-\d+$|^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?::\d+(?:-\d+)?)+$/i.test(one)
    );
    if (isGtid) return { type: "binlog", gtid };
    throw new BackupError("usage/bad-position", `"${text}" is no position of a binary log`, {
      hint: "Write FILE:POSITION, such as binlog.000007:154, or a GTID.",
    });
  },
  format(position) {
    const place = placeOf(position);
    return place === undefined ? wantedGtid(position) ?? "" : textOf(place);
  },
};

/** `binlog.000007:154` */
export function textOf({ file, offset }: LogPlace): string {
  return `${file}:${offset}`;
}

/** `binlog.000007` in its parts; undefined for what is no name of such a file. */
export function fileParts(file: string): { base: string; number: number } | undefined {
  const [, base, number] = /^(.*)\.(\d+)$/.exec(file) ?? [];
  return base === undefined ? undefined : { base, number: Number(number) };
}

function comparePlaces(a: Place, b: Place): number | undefined {
  const [one, other] = [fileParts(a.file), fileParts(b.file)];
  if (one === undefined || other === undefined || one.base !== other.base) return undefined;
  if (differs(a.server, b.server)) return undefined;
  if (one.number !== other.number) return one.number - other.number;
  return differs(a.begun, b.begun) ? undefined : a.offset - b.offset;
}

function differs<T>(a: T | undefined, b: T | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}
