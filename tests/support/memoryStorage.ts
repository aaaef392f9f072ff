import type { ObjectInfo, Storage } from "../../src/contracts/storage.ts";
import { type Bytes, collect } from "../../src/core/bytes.ts";
import { BackupError } from "../../src/core/errors.ts";

/** A storage that counts what is asked of it. */
export interface MemoryStorage extends Storage {
  /** By key; tests look into it and change it. */
  readonly objects: Map<string, MemoryObject>;
  /** How often each was called. */
  readonly calls: Record<"put" | "get" | "stat" | "list" | "delete" | "sweep", number>;
  /** Keys in the order of their deletion. */
  readonly deleted: string[];
}

/** A stored object. */
export interface MemoryObject {
  body: Uint8Array;
  modifiedAt: Date;
  retainedUntil?: Date;
}

/** Makes a {@link MemoryStorage}; its clock is `now`. */
export function memoryStorage(
  options: { readonly location?: string; readonly now?: () => Date; readonly retain?: Date } = {},
): MemoryStorage {
  const { location = "memory", now = () => new Date(), retain } = options;
  const objects = new Map<string, MemoryObject>();
  const calls = { put: 0, get: 0, stat: 0, list: 0, delete: 0, sweep: 0 };
  const deleted: string[] = [];

  function infoOf(key: string, object: MemoryObject): ObjectInfo {
    const { body, modifiedAt, retainedUntil } = object;
    const info = { key, bytes: body.byteLength, modifiedAt };
    return retainedUntil === undefined ? info : { ...info, retainedUntil };
  }

  return {
    location,
    objects,
    calls,
    deleted,
    async put(key, body, o) {
      calls.put++;
      if (objects.has(key)) throw new BackupError("storage/exists", `"${key}" exists`);
      const whole = body instanceof Uint8Array ? body.slice() : await collect(body);
      o.signal.throwIfAborted();
      if (objects.has(key)) throw new BackupError("storage/exists", `"${key}" exists`);
      const until = o.retainUntil === "none" ? undefined : o.retainUntil ?? retain;
      const object: MemoryObject = { body: whole, modifiedAt: now() };
      if (until !== undefined) object.retainedUntil = until;
      objects.set(key, object);
      return infoOf(key, object);
    },
    async *get(key, o): Bytes {
      calls.get++;
      await Promise.resolve();
      o.signal.throwIfAborted();
      const object = objects.get(key);
      if (object === undefined) throw new BackupError("storage/not-found", `"${key}" is missing`);
      yield object.body.slice(
        o.range?.start ?? 0,
        o.range?.end === undefined ? undefined : o.range.end + 1,
      );
    },
    stat(key) {
      calls.stat++;
      const object = objects.get(key);
      return Promise.resolve(object === undefined ? undefined : infoOf(key, object));
    },
    async *list(prefix) {
      calls.list++;
      await Promise.resolve();
      for (const [key, object] of [...objects]) {
        if (key.startsWith(prefix)) yield infoOf(key, object);
      }
    },
    delete(key) {
      calls.delete++;
      const object = objects.get(key);
      if (object?.retainedUntil !== undefined && object.retainedUntil > now()) {
        return Promise.reject(new BackupError("storage/retained", `"${key}" is retained`));
      }
      if (objects.delete(key)) deleted.push(key);
      return Promise.resolve();
    },
    sweep() {
      calls.sweep++;
      return Promise.resolve(0);
    },
    close: () => Promise.resolve(),
  };
}
