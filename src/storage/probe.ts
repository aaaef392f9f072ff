import type { Storage } from "../contracts/storage.ts";
import { type Abortable, type Bytes, collect } from "../core/bytes.ts";
import { type ErrorCode, hasCode, toBackupError } from "../core/errors.ts";
import { sleep } from "../core/retry.ts";
import type { Runtime } from "../core/runtime.ts";
import { formatBytes } from "../core/text.ts";

/** One ability of a store, as found by trying. */
export interface ProbeFinding {
  /** `lacks`: backups work without it, and are safer where it is. */
  readonly status: "ok" | "lacks" | "warning" | "error";
  /** Stable, for machines: `conditional-write`. */
  readonly ability: Ability;
  /** What was found and what that means. */
  readonly text: string;
  /** Of what failed. */
  readonly code?: ErrorCode;
}

/** What is tried. */
export type Ability =
  | "write"
  | "read"
  | "range"
  | "list"
  | "conditional-write"
  | "multipart"
  | "versioning"
  | "lock"
  | "clock"
  | "delete"
  | "sweep";

// Long enough to try a delete meanwhile, short enough to wait for.
const lockMs = 4_000;
// Signed requests begin to fail around a quarter of an hour, and prune refuses to act there.
const farOffsetMs = 15 * 60_000;
const worryingOffsetMs = 30_000;
// A clock that is a little off decides when a lock ends; give it this long.
const lockGraceMs = 20_000;

/**
 * Tries out what a store can do, with small objects under a prefix of its own, all of which it
 * removes. Where the store takes locks, this waits some seconds for its own to end.
 *
 * @param prefix under which nothing else lies; ends in "/"
 * @returns what was found; it goes on after a failure with whatever can still be tried
 */
export async function probeStorage(
  storage: Storage,
  prefix: string,
  o: Abortable & { readonly runtime: Runtime },
): Promise<ProbeFinding[]> {
  const findings: ProbeFinding[] = [];
  const written = new Set<string>();
  const add = (ability: Ability, status: ProbeFinding["status"], text: string, code?: ErrorCode) =>
    findings.push({ ability, status, text, ...(code === undefined ? {} : { code }) });

  async function attempt(
    ability: Ability,
    what: string,
    run: () => Promise<void>,
  ): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (reason) {
      o.signal.throwIfAborted();
      const error = toBackupError(reason);
      const hint = error.hint === undefined ? "" : ` hint: ${error.hint}`;
      add(ability, "error", `cannot ${what}: ${error.message} (${error.code})${hint}`, error.code);
      return false;
    }
  }

  const lock = await tryLock(storage, `${prefix}lock`, o);
  if (lock !== undefined) written.add(`${prefix}lock`);
  // A destination that locks what it gets would keep the other objects, too, for its whole time.
  const put = async (key: string, body: Bytes | Uint8Array) => {
    const retainUntil = lock === undefined ? {} : { retainUntil: lock.until };
    const info = await storage.put(prefix + key, body, { ...o, ...retainUntil });
    written.add(prefix + key);
    return info;
  };
  const content = new TextEncoder().encode("dbbackup doctor\n");

  const canWrite = await attempt("write", "write", async () => {
    const before = o.runtime.now().getTime();
    await put("object", content);
    const after = o.runtime.now().getTime();
    add("write", "ok", "objects can be written");
    const info = await storage.stat(`${prefix}object`, o);
    if (info === undefined) {
      return add("write", "error", "an object that was written is not there"), undefined;
    }
    add("clock", ...judgeClock(info.modifiedAt.getTime(), before, after));
    const remark = storage.remarks?.versioning;
    if (remark !== undefined) add("versioning", "lacks", remark);
    else if (info.version === undefined) {
      add("versioning", "lacks", "versions: what is deleted is gone");
    } else {
      add(
        "versioning",
        "ok",
        "keeps versions: deleting removes the versions themselves, and needs the right to",
      );
    }
  });
  if (!canWrite) return findings;

  await attempt("read", "read", async () => {
    const found = await collect(storage.get(`${prefix}object`, o));
    if (isSame(found, content)) add("read", "ok", "objects can be read");
    else add("read", "error", "what is read is not what was written: do not trust this store");
  });
  await attempt("range", "read a range", async () => {
    const found = await collect(
      storage.get(`${prefix}object`, { ...o, range: { start: 9, end: 14 } }),
    );
    if (isSame(found, content.subarray(9, 15))) add("range", "ok", "ranges can be read");
    else add("range", "error", "ignores ranges: broken reads cannot be resumed");
  });
  await attempt("list", "list", async () => {
    const keys = await listed(storage, prefix, o);
    if (keys.includes(`${prefix}object`)) add("list", "ok", "objects can be listed");
    else add("list", "error", "does not list what was just written: backups would be overlooked");
  });
  await attempt("conditional-write", "write under a condition", async () => {
    // At the same moment, because who comes later may be stopped by a mere look.
    const both = ["a", "b"].map((one) => put("contested", new TextEncoder().encode(one)));
    const results = await Promise.allSettled(both);
    for (const result of results) {
      if (result.status === "rejected" && !hasCode(result.reason, "storage/exists")) {
        throw result.reason;
      }
    }
    if (results.some(({ status }) => status === "rejected")) {
      return void add("conditional-write", "ok", "conditional writes: of two writers, one wins");
    }
    add(
      "conditional-write",
      "warning",
      "has no conditional writes: two programs that write one name at the same moment both " +
        "succeed, and one loses its object. dbbackup's own names are unique; let nothing else " +
        "write there",
    );
  });
  const { partBytes } = storage;
  if (partBytes !== undefined) {
    await attempt("multipart", "upload in parts", async () => {
      const bytes = partBytes + 1;
      const info = await put("parts", zeroes(bytes));
      if (info.bytes !== bytes) {
        add("multipart", "error", `${info.bytes} of ${bytes} bytes arrived`);
      } else {add(
          "multipart",
          "ok",
          `large objects are uploaded in parts of ${formatBytes(partBytes)}`,
        );}
    });
  }
  await attempt("sweep", "look for unfinished uploads", async () => {
    await storage.sweep(prefix, o);
    const remark = storage.remarks?.sweep;
    if (remark !== undefined) add("sweep", "lacks", remark);
    else add("sweep", "ok", "unfinished uploads can be found and removed");
  });

  if (lock === undefined) {
    add("lock", "lacks", "object lock: whoever has the credentials can delete backups");
  } else {
    await attempt("lock", "try the lock", async () => {
      add("lock", ...await judgeLock(storage, `${prefix}lock`, lock.until, o));
    });
  }
  await attempt("delete", "delete", async () => {
    for (const key of written) await deletePatiently(storage, key, lock?.until, o);
    const left = await listed(storage, prefix, o);
    if (left.length === 0) add("delete", "ok", "objects can be deleted");
    else add("delete", "error", `still lists ${left.join(", ")} after deleting it`);
  });
  return findings;
}

/** Puts an object under a short lock; undefined where the store takes no lock. */
async function tryLock(
  storage: Storage,
  key: string,
  o: Abortable & { readonly runtime: Runtime },
): Promise<{ readonly until: Date } | undefined> {
  const until = new Date(o.runtime.now().getTime() + lockMs);
  try {
    await storage.put(key, new TextEncoder().encode("lock\n"), { ...o, retainUntil: until });
    return { until };
  } catch {
    o.signal.throwIfAborted();
    // Whatever else is wrong shows with the next, plain put.
    return undefined;
  }
}

async function judgeLock(
  storage: Storage,
  key: string,
  until: Date,
  o: Abortable & { readonly runtime: Runtime },
): Promise<[ProbeFinding["status"], string]> {
  const holds = "locks objects: the destination's retention holds against everybody";
  const isKnown = (await storage.stat(key, o))?.retainedUntil !== undefined;
  if (o.runtime.now() >= until) {
    return isKnown ? ["ok", holds] : ["warning", "accepts an object lock but does not enforce it"];
  }
  try {
    await storage.delete(key, o);
  } catch (error) {
    if (hasCode(error, "storage/retained")) return ["ok", holds];
    throw error;
  }
  if (o.runtime.now() >= until) return ["ok", holds];
  return [
    "warning",
    "accepts an object lock and deletes the object all the same: retention is void",
  ];
}

/** Deletes; an object under the probe's own lock, after that has ended. */
async function deletePatiently(
  storage: Storage,
  key: string,
  until: Date | undefined,
  o: Abortable & { readonly runtime: Runtime },
): Promise<void> {
  while (true) {
    try {
      return await storage.delete(key, o);
    } catch (error) {
      const isOver = until === undefined ||
        o.runtime.now().getTime() > until.getTime() + lockGraceMs;
      if (isOver || !(hasCode(error, "storage/retained") || hasCode(error, "storage/denied"))) {
        throw error;
      }
      await sleep(500, o.signal);
    }
  }
}

function judgeClock(
  theirs: number,
  before: number,
  after: number,
): [ProbeFinding["status"], string, ErrorCode?] {
  // Stores tell whole seconds.
  const offsetMs = theirs < before - 1000 ? theirs - before : theirs > after ? theirs - after : 0;
  const seconds = `${Math.abs(Math.round(offsetMs / 1000))} s`;
  const far = Math.abs(offsetMs);
  if (far < 2_000) return ["ok", "its clock is right"];
  const text = `its clock is ${seconds} ${offsetMs > 0 ? "ahead of" : "behind"} ours`;
  if (far < worryingOffsetMs) return ["ok", text];
  if (far < farOffsetMs) return ["warning", `${text}: set this machine's clock`];
  return ["error", `${text}: prune refuses to act, and requests may fail`, "storage/clock"];
}

async function listed(storage: Storage, prefix: string, o: Abortable): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list(prefix, o)) keys.push(key);
  return keys;
}

async function* zeroes(length: number): Bytes {
  const chunk = new Uint8Array(64 * 1024);
  for (let left = length; left > 0; left -= chunk.byteLength) yield chunk.subarray(0, left);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}
