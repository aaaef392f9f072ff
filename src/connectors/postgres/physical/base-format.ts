import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { z } from "zod";
import type { ArtifactFormat, Walker } from "../../../contracts/format.ts";
import { BackupError } from "../../../core/errors.ts";
import { type TarEvent, tarReader } from "../../../core/tar.ts";
import { parseLsn, segmentsOf } from "./lsn.ts";

const manifestSchema = z.looseObject({
  "PostgreSQL-Backup-Manifest-Version": z.number(),
  Files: z.array(z.looseObject({
    Path: z.string().optional(),
    "Encoded-Path": z.string().optional(),
    Size: z.number(),
    "Checksum-Algorithm": z.string().optional(),
    Checksum: z.string().optional(),
  })),
  "WAL-Ranges": z.array(z.looseObject({
    Timeline: z.number(),
    "Start-LSN": z.string(),
    "End-LSN": z.string(),
  })),
});

/** PostgreSQL's own list of what is in a base backup (backup_manifest). */
export interface BackupManifest {
  /** File names with sizes and SHA-256 digests. */
  readonly files: ReadonlyMap<string, { readonly bytes: number; readonly sha256: string }>;
  /** The part of the log without which the files are not consistent. */
  readonly start: bigint;
  readonly end: bigint;
  readonly timeline: number;
}

/**
 * What `pg_basebackup -Ft -X fetch` writes: the server's files, the log that makes them consistent, and
 * their list with checksums. Every file of the list must be there with its size; the checksums are
 * compared in a deep check.
 */
export const baseFormat: ArtifactFormat = {
  id: "pgbase",
  suffix: "tar",
  walk: () => walkBase(false),
  async nativeCheck(bytes) {
    const walker = walkBase(true);
    for await (const chunk of bytes) walker.push(chunk);
    walker.end();
  },
};

// Tells the walker what pg_basebackup's own list says, and holds it: some 200 bytes a file.
const longestManifestBytes = 512 * 1024 * 1024;

/** Notes the list as a base backup passes. */
export function manifestCatcher(): {
  see(event: TarEvent): void;
  /** @throws BackupError `verification/truncated` where there was none */
  manifest(): BackupManifest;
} {
  let isIn = false;
  let bytes = 0;
  const chunks: Uint8Array[] = [];
  return {
    see(event) {
      if (event.type === "entry") isIn = event.entry.name === "backup_manifest";
      else if (event.type === "data" && isIn) {
        bytes += event.chunk.byteLength;
        if (bytes > longestManifestBytes) throw incomplete("its backup_manifest is too large");
        chunks.push(new Uint8Array(event.chunk));
      }
    },
    manifest() {
      if (chunks.length === 0) throw incomplete("it has no backup_manifest");
      return parseManifest(chunks);
    },
  };
}

function parseManifest(chunks: readonly Uint8Array[]): BackupManifest {
  const decoder = new TextDecoder();
  const text = chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("");
  let known: z.infer<typeof manifestSchema>;
  try {
    known = manifestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw incomplete("its backup_manifest cannot be read", cause);
  }
  const [range] = known["WAL-Ranges"];
  if (range === undefined || known["WAL-Ranges"].length > 1) {
    throw incomplete("its log is of several timelines");
  }
  const files = known.Files.map(({ Path, Size, Checksum = "", ...file }) => {
    const name = Path ?? Buffer.from(file["Encoded-Path"] ?? "", "hex").toString("utf8");
    return [name, { bytes: Size, sha256: Checksum }] as const;
  });
  return {
    files: new Map(files),
    start: parseLsn(range["Start-LSN"]),
    end: parseLsn(range["End-LSN"]),
    timeline: range.Timeline,
  };
}

/** Without these no server starts on it. */
const needed = ["PG_VERSION", "backup_label", "global/pg_control"];

function walkBase(isHashing: boolean): Walker {
  const reader = tarReader();
  const catcher = manifestCatcher();
  const seen = new Map<string, { bytes: number; sha256: string }>();
  let name = "";
  let bytes = 0;
  let hash: Hash | undefined;
  return {
    push(chunk) {
      for (const event of reader.push(chunk)) {
        catcher.see(event);
        if (event.type === "entry") {
          name = event.entry.type === "file" ? event.entry.name : "";
          bytes = event.entry.bytes;
          hash = isHashing && name !== "" ? createHash("sha256") : undefined;
        } else if (event.type === "data") hash?.update(event.chunk);
        else if (name !== "") seen.set(name, { bytes, sha256: hash?.digest("hex") ?? "" });
      }
    },
    end() {
      reader.end();
      const { files, start, end, timeline } = catcher.manifest();
      for (const one of needed) if (!seen.has(one)) throw incomplete(`"${one}" is missing`);
      for (const [file, expected] of files) {
        const found = seen.get(file);
        if (found === undefined) throw incomplete(`"${file}" is missing`);
        if (found.bytes !== expected.bytes) {
          throw incomplete(`"${file}" has ${found.bytes} bytes, and ${expected.bytes} are listed`);
        }
        if (isHashing && found.sha256 !== expected.sha256) {
          throw new BackupError("verification/native-check", `"${file}" has another checksum`, {
            hint: "It was damaged before it was stored. Take a new full backup.",
          });
        }
      }
      // Not in its list.
      for (const segment of segmentsOf(timeline, start, end, segmentBytesIn(seen))) {
        if (!seen.has(`pg_wal/${segment}`)) throw incomplete(`"pg_wal/${segment}" is missing`);
      }
      return { databases: [] };
    },
  };
}

function segmentBytesIn(seen: ReadonlyMap<string, { readonly bytes: number }>): number {
  const found = [...seen].find(([name]) => /^pg_wal\/[0-9A-F]{24}$/.test(name));
  if (found !== undefined) return found[1].bytes;
  throw incomplete("it has none of the log that makes it consistent");
}

function incomplete(what: string, cause?: unknown): BackupError {
  return new BackupError("verification/truncated", `The base backup is incomplete: ${what}`, {
    ...cause === undefined ? {} : { cause },
    hint: "Take a new full backup, or restore another one.",
  });
}
