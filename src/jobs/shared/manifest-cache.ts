import { join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  type ManifestFile,
  parseManifest,
  readManifestFile,
  sha256Of,
} from "../../catalog/manifest.ts";
import { sealOf } from "../../catalog/seal.ts";
import { manifestName } from "../../contracts/manifest.ts";
import type { Storage } from "../../contracts/storage.ts";
import type { BackupRef } from "../../contracts/strategy.ts";
import { createSweeper } from "../../core/memory.ts";
import { openStateDatabase, type StateDatabase } from "./state-database.ts";
import type { JobContext } from "./context.ts";

/** Small objects over a network: the round trip is what costs, so many are read at once. */
export const manifestsAtOnce = 32;

/**
 * Remembers manifests, which never change, between runs. It lies in the state folder; losing it costs
 * time and nothing else, so nothing here fails because of it.
 */
export interface ManifestCache {
  /**
   * As {@link readManifestFile}, from the cache where it is there, and the stored one is sealed and
   * as long.
   */
  read(storage: Storage, ref: BackupRef, o: JobContext): Promise<ManifestFile>;
  /** Forgets the backups of a location that are not among these. */
  keepOnly(location: string, prefixes: ReadonlySet<string>): void;
  close(): void;
}

/** Opens the cache; where that cannot be done, every manifest is read from its destination. */
export async function openManifestCache(o: JobContext): Promise<ManifestCache> {
  let database = await openDatabase(o);
  const sweep = createSweeper(manifestSweeps);

  /** A cache that fails once is not asked again. */
  function attempt<T>(use: (database: DatabaseSync) => T): T | undefined {
    if (database === undefined) return undefined;
    try {
      return database.use(use);
    } catch (error) {
      o.runtime.log.debug("The cache of manifests fails: {error}", { error: String(error) });
      database.close();
      database = undefined;
      return undefined;
    }
  }

  function remembered(location: string, ref: BackupRef, sha256: string): ManifestFile | undefined {
    const row = attempt((db) => statementsOf(db).find.get(location, ref.prefix, sha256));
    if (row === undefined) return undefined;
    try {
      const bytes = new TextEncoder().encode(String(row["text"]));
      const isAsStored = ref.files.get(manifestName) === bytes.byteLength &&
        sha256Of(bytes) === sha256;
      if (!isAsStored) return undefined;
      return { manifest: parseManifest(bytes, ref.prefix + manifestName), bytes, sha256 };
    } catch {
      return undefined;
    }
  }

  const fresh: [location: string, prefix: string, sha256: string, text: string][] = [];

  function keep(): void {
    const rows = fresh.splice(0);
    if (rows.length === 0) return;
    attempt((db) => {
      db.exec("BEGIN");
      try {
        for (const row of rows) statementsOf(db).keep.run(...row);
        db.exec("COMMIT");
      } catch (error) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw error;
      }
    });
  }

  return {
    async read(storage, ref, context) {
      sweep();
      const { location } = storage;
      const sha256 = sealOf(ref.files.keys())?.sha256;
      const known = sha256 === undefined ? undefined : remembered(location, ref, sha256);
      if (known !== undefined) return known;
      const file = await readManifestFile(storage, ref, context);
      // Only what a seal proves, and tells apart from what somebody put in its place, is kept.
      if (sha256 === undefined) return file;
      fresh.push([location, ref.prefix, sha256, new TextDecoder().decode(file.bytes)]);
      if (fresh.length >= keptAtOnce) keep();
      return file;
    },
    keepOnly(location, prefixes) {
      keep();
      attempt((db) => {
        const rows = db.prepare("SELECT prefix FROM sealed WHERE location = ?").all(location);
        const gone = rows.map((row) => String(row["prefix"])).filter((one) => !prefixes.has(one));
        const remove = db.prepare("DELETE FROM sealed WHERE location = ? AND prefix = ?");
        for (const prefix of gone) remove.run(location, prefix);
      });
    },
    close() {
      keep();
      database?.close();
    },
  };
}

// Reading one leaves 50 kB behind, some of it after other reads have ended.
const manifestSweeps = { every: 100, oldEvery: 10 };

// A transaction for each takes as long as reading it from the store.
const keptAtOnce = 100;

/** The statements of each manifest, prepared once for each opening of the database. */
const prepared = new WeakMap<DatabaseSync, Statements>();

interface Statements {
  readonly find: StatementSync;
  readonly keep: StatementSync;
}

function statementsOf(database: DatabaseSync): Statements {
  const known = prepared.get(database);
  if (known !== undefined) return known;
  const statements = {
    find: database.prepare(
      "SELECT text FROM sealed WHERE location = ? AND prefix = ? AND sha256 = ?",
    ),
    keep: database.prepare(
      "INSERT OR REPLACE INTO sealed (location, prefix, sha256, text) VALUES (?, ?, ?, ?)",
    ),
  };
  prepared.set(database, statements);
  return statements;
}

const pragmas = `
  PRAGMA busy_timeout = 1000;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = OFF;
`;

const migrations = [
  `
  CREATE TABLE IF NOT EXISTS sealed (
    location TEXT NOT NULL, prefix TEXT NOT NULL, sha256 TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (location, prefix)
  ) WITHOUT ROWID;
  `,
];

async function openDatabase(o: JobContext): Promise<StateDatabase | undefined> {
  try {
    return await openStateDatabase(join(o.stateDir, "manifests.db"), {
      pragmas,
      migrations,
      onDamaged: (aside) =>
        o.runtime.log.debug("The cache of manifests was damaged: it is now {aside}", { aside }),
    });
  } catch {
    return undefined;
  }
}
