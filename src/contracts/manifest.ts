import { z } from "zod";

/** How much of a database a backup holds: the kinds that this program knows. */
export const kinds = ["full", "differential", "incremental"] as const;
/** See {@link kinds}. */
export type Kind = (typeof kinds)[number];

/** True for a kind that this program can restore; a newer one may have written others. */
export function isKnownKind(kind: string): kind is Kind {
  return kinds.some((known) => known === kind);
}

/** The version this program writes, and the newest that it can restore. */
export const manifestFormatVersion = 1;

/** The name of the file whose presence makes a folder a backup. */
export const manifestName = "manifest.json";

const instant = z.iso.datetime({ offset: true });
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * Where a backup stands in its database's change log. `type` names the log; the rest is that
 * engine's own: PostgreSQL `{ lsn, timeline }`, MySQL `{ file, offset, gtid }`, MongoDB
 * `{ t, i, term }`, SQLite `{ changeCounter, schemaCookie }`.
 */
export const positionSchema = z.looseObject({
  /** `lsn`, `binlog`, `oplog`, `sqlite`; later versions may know more. */
  type: z.string().min(1),
});
/** Where a backup stands in its database's change log, see {@link positionSchema}. */
export type Position = z.infer<typeof positionSchema>;

/** See {@link Omission}. */
export const omissionSchema = z.looseObject({
  /** The stable name that a job accepts: `routines`. */
  name: z.string(),
  /** What goes missing and why, as a sentence. */
  reason: z.string(),
  /** The objects concerned, where they can be named. */
  objects: z.array(z.string()).optional(),
  /** What to do about it, as a sentence, where that is not granting a right. */
  hint: z.string().optional(),
});
/** Something that the dump leaves out. */
export type Omission = z.infer<typeof omissionSchema>;

/** See {@link Volume}. */
export const volumeSchema = z.looseObject({
  /** File name inside the backup's folder. */
  name: z.string(),
  bytes: z.number().int().nonnegative(),
  sha256,
});
/** One stored object of an artifact; the artifact is their concatenation. */
export type Volume = z.infer<typeof volumeSchema>;

/** See {@link Artifact}. */
export const artifactSchema = z.looseObject({
  /** From 1, in the order of restoring. */
  number: z.number().int().positive(),
  /** `dump`, `accounts`, `log` or `inventory`; later versions may know more. */
  role: z.string(),
  /** The databases inside, by their real names. */
  databases: z.array(z.string()),
  /** {@link ArtifactFormat} id of the raw bytes. */
  format: z.string(),
  /** Where it starts and ends in the change log, for those that are a piece of it. */
  from: positionSchema.optional(),
  to: positionSchema.optional(),
  /** Codecs in the order they were applied to the raw bytes. */
  codecs: z.array(
    z.looseObject({ id: z.string(), parameters: z.record(z.string(), z.unknown()).optional() }),
  ),
  rawBytes: z.number().int().nonnegative(),
  rawSha256: sha256,
  /** CRC-32 (ISO-HDLC) of the raw bytes; absent in backups of other writers. */
  rawCrc32: z.string().regex(/^[0-9a-f]{8}$/).optional(),
  storedBytes: z.number().int().nonnegative(),
  storedSha256: sha256,
  volumes: z.array(volumeSchema).min(1),
});
/** One byte stream of a backup. */
export type Artifact = z.infer<typeof artifactSchema>;

const toolSchema = z.looseObject({ name: z.string(), version: z.string() });

/** Version 1 of the manifest. Unknown fields are kept and ignored. See src/catalog/FORMAT.md. */
export const manifestSchema = z.looseObject({
  formatVersion: z.number().int().positive(),
  id: z.string(),
  job: z.string(),
  /** One of {@link kinds}; later versions may know more. */
  kind: z.string().min(1),
  parent: z.looseObject({ id: z.string(), manifestSha256: sha256 }).nullable(),
  /** Why it is of this kind. */
  strategy: z.looseObject({
    /** Of the strategy: `incremental`. */
    id: z.string(),
    reason: z.string(),
    /** The kind that was to be taken, where it could not. */
    wanted: z.string().optional(),
  }).optional(),
  source: z.looseObject({
    /** The connector's kind: `postgres`. */
    kind: z.string(),
    /** What identifies the server: system identifier, server_uuid, replica set id; else what is declared. */
    id: z.string(),
    /** Short digest of kind and id, as in the folder's name: `s41f0c2`. */
    tag: z.string(),
    flavour: z.string(),
    version: z.string(),
  }),
  /** The machine that wrote it, to warn when another one writes here, too; identifies nothing. */
  writer: z.looseObject({
    host: z.string(),
    /** Digest of the machine's own id; absent in containers. */
    machine: z.string().optional(),
    /** Where that machine found the source; see SourceInfo.place. */
    place: z.string().optional(),
  }).optional(),
  tool: toolSchema,
  clientTools: z.array(toolSchema),
  startedAt: instant,
  finishedAt: instant,
  /** The moment whose data the backup shows; the latest, where it can be restored to several. */
  consistentAt: instant,
  /** The moments that it can be restored to, where a log was kept: any between, both included. */
  window: z.looseObject({ from: instant, to: instant }).optional(),
  position: z.looseObject({ from: positionSchema.optional(), to: positionSchema.optional() }),
  /** The database server's clock minus ours, in milliseconds; null when it could not be read. */
  clockOffsetMs: z.number().nullable(),
  /** The job's settings that decide what is inside and how to restore it. */
  settings: z.looseObject({
    exclude: z.array(z.string()).optional(),
    excludeData: z.array(z.string()).optional(),
    schemaOnly: z.boolean().optional(),
    dumpArgs: z.array(z.string()).optional(),
    restoreArgs: z.array(z.string()).optional(),
  }),
  /** What the dump left out; each was accepted by name in the job. */
  omitted: z.array(omissionSchema),
  warnings: z.array(z.string()),
  artifacts: z.array(artifactSchema).min(1),
  /** RESTORE.txt as it was written. */
  restoreText: z.looseObject({ bytes: z.number().int().nonnegative(), sha256 }).optional(),
});
/** What makes a folder a backup: `manifest.json`, see src/catalog/FORMAT.md. */
export type Manifest = z.infer<typeof manifestSchema>;
