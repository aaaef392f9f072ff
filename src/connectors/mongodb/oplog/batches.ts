import type { Namespace, ReplaySink, Write, WriteMode } from "./sink.ts";

/** Writes that are held back, so that they reach the sink many at a time. */
export interface Batches {
  add(target: Namespace, write: Write, mode: WriteMode): Promise<void>;
  flush(): Promise<void>;
}

interface Batch {
  readonly target: Namespace;
  readonly mode: WriteMode;
  writes: Write[];
  bytes: number;
}

// What a server takes in one command is 100,000 writes and 48 MB.
const mostWrites = 1_000;
const mostBytes = 8 * 1024 * 1024;
const mostBytesOfAll = 32 * 1024 * 1024;

/**
 * Collects writes by collection: between two commands those of different ones do not touch each
 * other, and a busy server's oplog changes from one to the next with every entry.
 */
export function batches(sink: ReplaySink): Batches {
  const byTarget = new Map<string, Batch>();
  let bytesOfAll = 0;

  async function send(batch: Batch): Promise<void> {
    const { target, mode, writes, bytes } = batch;
    batch.writes = [];
    batch.bytes = 0;
    bytesOfAll -= bytes;
    if (writes.length > 0) await sink.write(target, writes, mode);
  }

  async function flush(): Promise<void> {
    for (const batch of byTarget.values()) await send(batch);
    byTarget.clear();
  }

  return {
    async add(target, write, mode) {
      const key = `${target.db}.${target.collection}`;
      let batch = byTarget.get(key);
      if (batch !== undefined && batch.mode.isLenient !== mode.isLenient) await send(batch);
      if (batch === undefined || batch.mode.isLenient !== mode.isLenient) {
        batch = { target, mode, writes: [], bytes: 0 };
        byTarget.set(key, batch);
      }
      const bytes = bytesOf(write);
      batch.writes.push(write);
      batch.bytes += bytes;
      bytesOfAll += bytes;
      if (batch.writes.length >= mostWrites || batch.bytes >= mostBytes) await send(batch);
      else if (bytesOfAll >= mostBytesOfAll) await flush();
    },
    flush,
  };
}

function bytesOf(write: Write): number {
  const content = write.type === "remove"
    ? write.id.raw
    : write.type === "modify"
    ? write.operators
    : write.type === "diff"
    ? write.diff
    : write.document;
  return content.byteLength + 200;
}
