import { Buffer } from "node:buffer";
import { type BinlogEvent, eventTypes } from "./event.ts";

/**
 * The transactions up to a place in a log: MySQL's set, `uuid:1-5:7,uuid:1-3`, or MariaDB's last one
 * of each domain, `0-1-100,1-2-7`.
 */
export interface GtidState {
  /** Takes what an event says: one transaction more, or all those before its file. */
  see(event: BinlogEvent): void;
  text(): string;
}

type Interval = readonly [first: bigint, last: bigint];

/** Starts from a text, as a position has it; empty or absent: from none. */
export function createGtidState(text = ""): GtidState {
  const sets = new Map<string, Interval[]>();
  const domains = new Map<string, string>();
  for (const one of text.split(",").map((part) => part.trim()).filter((part) => part !== "")) {
    const mariadb = /^(\d+)-(\d+)-(\d+)$/.exec(one);
    if (mariadb !== null) domains.set(mariadb[1]!, one);
    else for (const [source, interval] of intervalsOf(one)) addTo(sets, source, interval);
  }

  return {
    see({ type, body, serverId }) {
      if (type === eventTypes.gtid) {
        const source = uuidOf(body.subarray(1, 17));
        const number = body.readBigInt64LE(17);
        addTo(sets, source, [number, number]);
      } else if (type === previousGtids) {
        for (const [source, interval] of previousOf(body)) addTo(sets, source, interval);
      } else if (type === eventTypes.mariadbGtid) {
        const domain = String(body.readUInt32LE(8));
        domains.set(domain, `${domain}-${serverId}-${body.readBigUInt64LE(0)}`);
      } else if (type === mariadbGtidList) {
        const count = body.readUInt32LE(0) & 0x0fffffff;
        for (let at = 4; at < 4 + 16 * count; at += 16) {
          const domain = String(body.readUInt32LE(at));
          const server = body.readUInt32LE(at + 4);
          domains.set(domain, `${domain}-${server}-${body.readBigUInt64LE(at + 8)}`);
        }
      }
    },
    text() {
      const named = [...sets].sort(([a], [b]) => a < b ? -1 : 1).map(([source, intervals]) =>
        [source, ...intervals.map(([a, b]) => a === b ? `${a}` : `${a}-${b}`)].join(":")
      );
      const last = [...domains.values()].sort((a, b) => parseInt(a) - parseInt(b));
      return [...named, ...last].join(",");
    },
  };
}

const previousGtids = 35;
const mariadbGtidList = 163;

/**
 * How the transactions up to a place relate to some that are wanted: 0 where these are the last of it,
 * positive where it has them and more, negative where it lacks one. With MariaDB, and where people
 * name one transaction alone, all before it in its domain or of its source count as named, too.
 */
export function compareGtid(state: string, wanted: string): number {
  const [have, need] = [highest(state), highest(wanted)];
  const lacks = [...need].some(([source, last]) => (have.get(source) ?? -1n) < last);
  if (lacks) return -1;
  return have.size === need.size && [...have].every(([source, last]) => need.get(source) === last)
    ? 0
    : 1;
}

/** The highest number of each source, or domain. */
function highest(text: string): Map<string, bigint> {
  const found = new Map<string, bigint>();
  const take = (source: string, last: bigint) => {
    if ((found.get(source) ?? -1n) < last) found.set(source, last);
  };
  for (const one of text.split(",").map((part) => part.trim())) {
    const mariadb = /^(\d+)-\d+-(\d+)$/.exec(one);
    if (mariadb !== null) take(mariadb[1]!, BigInt(mariadb[2]!));
    else for (const [source, [, last]] of intervalsOf(one)) take(source, last);
  }
  return found;
}

/** `uuid:1-5:7` */
function intervalsOf(text: string): [string, Interval][] {
  const [source, ...parts] = text.toLowerCase().split(":");
  return parts.flatMap((part) => {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (first === undefined) return [];
    return [[source!, [BigInt(first), BigInt(last ?? first)]] as [string, Interval]];
  });
}

function addTo(sets: Map<string, Interval[]>, source: string, added: Interval): void {
  const intervals = sets.get(source) ?? [];
  // Nearly always the next one.
  const last = intervals.at(-1);
  if (last !== undefined && last[1] + 1n === added[0]) {
    intervals[intervals.length - 1] = [last[0], added[1]];
    return;
  }
  const all = [...intervals, added].sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);
  const merged: Interval[] = [];
  for (const [first, end] of all) {
    const before = merged.at(-1);
    if (before === undefined || before[1] + 1n < first) merged.push([first, end]);
    else merged[merged.length - 1] = [before[0], end > before[1] ? end : before[1]];
  }
  sets.set(source, merged);
}

function uuidOf(bytes: Buffer): string {
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The set in a PREVIOUS_GTIDS event; none where it has tags, whose form is another. */
function previousOf(body: Buffer): [string, Interval][] {
  const found: [string, Interval][] = [];
  const count = body.readBigUInt64LE(0);
  if (count > 0xffffffffn) return [];
  let at = 8;
  for (let source = 0n; source < count; source++) {
    const uuid = uuidOf(body.subarray(at, at + 16));
    const intervals = Number(body.readBigUInt64LE(at + 16));
    at += 24;
    for (let index = 0; index < intervals; index++, at += 16) {
      // The end is one past the last.
      found.push([uuid, [body.readBigInt64LE(at), body.readBigInt64LE(at + 8) - 1n]]);
    }
  }
  return found;
}
