import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { parseManifest, readManifest } from "../catalog/manifest.ts";
import { type Manifest, manifestName } from "../contracts/manifest.ts";
import type { Storage } from "../contracts/storage.ts";
import type { BackupRef } from "../contracts/strategy.ts";
import type { JobContext } from "./types.ts";

/**
 * Remembers manifests, which never change, between runs. It lies in the state folder; losing it costs
 * time and nothing else, so nothing here fails because of it.
 */
export interface ManifestCache {
  /** As {@link readManifest}, from the cache where it is there. */
  read(storage: Storage, ref: BackupRef, o: JobContext): Promise<Manifest>;
  /** Forgets the backups of a location that are not among these. */
  keepOnly(location: string, prefixes: ReadonlySet<string>): void;
  close(): void;
}

/** Opens the cache; where that cannot be done, every manifest is read from its destination. */
export async function openManifestCache(o: JobContext): Promise<ManifestCache> {
  let database = await openDatabase(o);

  /** A cache that fails once is not asked again. */
  function attempt<T>(use: (database: DatabaseSync) => T): T | undefined {
    if (database === undefined) return undefined;
    try {
      return use(database);
    } catch (error) {
      o.runtime.log.debug("The cache of manifests fails: {error}", { error: String(error) });
      database.close();
      database = undefined;
      return undefined;
    }
  }

  function remembered(location: string, ref: BackupRef): Manifest | undefined {
    const row = attempt((db) =>
      db.prepare("SELECT text FROM manifests WHERE location = ? AND prefix = ? AND bytes = ?")
        .get(location, ref.prefix, sizeOf(ref))
    );
    if (row === undefined) return undefined;
    try {
      const text = new TextEncoder().encode(String(row["text"]));
      const manifest = parseManifest(text, ref.prefix + manifestName);
      return manifest.id === ref.id ? manifest : undefined;
    } catch {
      return undefined;
    }
  }

  return {
    async read(storage, ref, context) {
      const { location } = storage;
      const known = remembered(location, ref);
      if (known !== undefined) return known;
      const manifest = await readManifest(storage, ref, context);
      attempt((db) =>
        db.prepare(
          "INSERT OR REPLACE INTO manifests (location, prefix, bytes, text) VALUES (?, ?, ?, ?)",
        ).run(location, ref.prefix, sizeOf(ref), JSON.stringify(manifest))
      );
      return manifest;
    },
    keepOnly(location, prefixes) {
      attempt((db) => {
        const rows = db.prepare("SELECT prefix FROM manifests WHERE location = ?").all(location);
        const gone = rows.map((row) => String(row["prefix"])).filter((one) => !prefixes.has(one));
        const remove = db.prepare("DELETE FROM manifests WHERE location = ? AND prefix = ?");
        for (const prefix of gone) remove.run(location, prefix);
      });
    },
    close: () => database?.close(),
  };
}

/** Part of the key, so that a file somebody replaced is read anew. */
function sizeOf({ files }: BackupRef): number {
  return files.get(manifestName) ?? -1;
}

const tables = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = OFF;
  PRAGMA busy_timeout = 1000;
  CREATE TABLE IF NOT EXISTS manifests (
    location TEXT NOT NULL, prefix TEXT NOT NULL, bytes INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (location, prefix)
  ) WITHOUT ROWID;
`;

async function openDatabase(o: JobContext): Promise<DatabaseSync | undefined> {
  const path = join(o.stateDir, "manifests.db");
  try {
    await mkdir(o.stateDir, { recursive: true, mode: 0o700 });
    return await openTables(path);
  } catch {
    try {
      // Damaged: it starts anew.
      for (const suffix of ["", "-wal", "-shm"]) await rm(path + suffix, { force: true });
      return await openTables(path);
    } catch {
      return undefined;
    }
  }
}

async function openTables(path: string): Promise<DatabaseSync> {
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(path);
  try {
    database.exec(tables);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
