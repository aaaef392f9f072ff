import { z } from "zod";
import type { Positions } from "../../../contracts/changes.ts";
import type { Position } from "../../../contracts/manifest.ts";
import { BackupError } from "../../../core/errors.ts";

/** Where a physical backup stands: in which server's log, on which timeline, at which byte. */
export interface LogPosition {
  readonly lsn: bigint;
  readonly timeline: number;
  /** The system identifier. */
  readonly system: string;
  /** Where the last record before it begins, where that is known: what follows names it. */
  readonly previous?: bigint;
}

const lsnText = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i);

const positionSchema = z.looseObject({
  type: z.literal("lsn"),
  lsn: lsnText,
  timeline: z.number().int().positive().optional(),
  system: z.string().optional(),
  previous: lsnText.optional(),
});

/** How positions in the write-ahead log relate; those of other timelines do not. */
export const positions: Positions = {
  compare(a, b) {
    const [one, other] = [positionSchema.safeParse(a).data, positionSchema.safeParse(b).data];
    if (one === undefined || other === undefined) return undefined;
    const isSame = <T>(a: T | undefined, b: T | undefined) =>
      a === undefined || b === undefined || a === b;
    if (!isSame(one.timeline, other.timeline) || !isSame(one.system, other.system)) {
      return undefined;
    }
    const difference = parseLsn(one.lsn) - parseLsn(other.lsn);
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  },
  parse(text) {
    const [, lsn, timeline] = /^([0-9A-F]{1,8}\/[0-9A-F]{1,8})(?:@(\d{1,9}))?$/i.exec(text) ?? [];
    if (lsn !== undefined) {
      return {
        type: "lsn",
        lsn: lsn.toUpperCase(),
        ...timeline === undefined ? {} : { timeline: Number(timeline) },
      };
    }
    throw new BackupError("usage/bad-position", `Cannot read "${text}" as a position in the log`, {
      hint: "Give an LSN, as pg_current_wal_lsn() prints it, and its timeline where it is known: " +
        "0/1ECB830@1.",
    });
  },
  format(position) {
    const { lsn, timeline } = positionSchema.parse(position);
    return timeline === undefined ? lsn : `${lsn}@${timeline}`;
  },
};

/** The position of a physical backup; undefined for what is none, such as that of a dump. */
export function logPosition(position: Position | undefined): LogPosition | undefined {
  const known = positionSchema.safeParse(position).data;
  if (known?.timeline === undefined || known.system === undefined) return undefined;
  const { lsn, timeline, system, previous } = known;
  return {
    ...{ lsn: parseLsn(lsn), timeline, system },
    ...previous === undefined ? {} : { previous: parseLsn(previous) },
  };
}

/** As it stands in a manifest. */
export function positionOf({ lsn, timeline, system, previous }: LogPosition): Position {
  return {
    ...{ type: "lsn", lsn: formatLsn(lsn), timeline, system },
    ...previous === undefined ? {} : { previous: formatLsn(previous) },
  };
}

/** Reads `0/1ECB830`. */
export function parseLsn(text: string): bigint {
  const [high = "0", low = "0"] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** Writes `0/1ECB830`, as the server does. */
export function formatLsn(lsn: bigint): string {
  const hex = (part: bigint) => part.toString(16).toUpperCase();
  return `${hex(lsn >> 32n)}/${hex(lsn & 0xffffffffn)}`;
}

/** Where the segment begins that a byte of the log is in. */
export function segmentStart(lsn: bigint, segmentBytes: number): bigint {
  return lsn - lsn % BigInt(segmentBytes);
}

/** The file name of the segment that begins at a byte of the log (`XLogFileName`). */
export function segmentName(timeline: number, start: bigint, segmentBytes: number): string {
  const number = start / BigInt(segmentBytes);
  const perLog = 0x1_0000_0000n / BigInt(segmentBytes);
  const hex = (part: bigint | number) => part.toString(16).toUpperCase().padStart(8, "0");
  return hex(timeline) + hex(number / perLog) + hex(number % perLog);
}

/** The file names of the segments from one byte of the log up to another, which is not included. */
export function segmentsOf(
  timeline: number,
  from: bigint,
  to: bigint,
  segmentBytes: number,
): string[] {
  const names: string[] = [];
  for (let at = segmentStart(from, segmentBytes); at < to; at += BigInt(segmentBytes)) {
    names.push(segmentName(timeline, at, segmentBytes));
  }
  return names;
}

/** What a file name says of its segment; undefined for other names. */
export function parseSegmentName(
  name: string,
  segmentBytes: number,
): { readonly timeline: number; readonly start: bigint } | undefined {
  if (!/^[0-9A-F]{24}$/.test(name)) return undefined;
  const perLog = 0x1_0000_0000n / BigInt(segmentBytes);
  const number = BigInt(`0x${name.slice(8, 16)}`) * perLog + BigInt(`0x${name.slice(16)}`);
  return { timeline: Number.parseInt(name.slice(0, 8), 16), start: number * BigInt(segmentBytes) };
}
