import { z } from "zod";
import { findCodec } from "../../codecs/mod.ts";
import { BackupError, hasCode } from "../../core/errors.ts";
import type { Compression } from "../definitions.ts";
import { key } from "../job-key.ts";
import type { ConfigPath, Problem } from "../problems.ts";

/** The codecs that a job can name; `none` stores the dump as it is. */
const codecNames = ["gzip", "zstd"] as const;

/** How artifacts are compressed. */
export const compressionSchema = z.union([
  z.enum([...codecNames, "none"]),
  z.strictObject({ codec: z.enum(codecNames), level: z.number().int().optional() }),
], { error: 'expected "gzip", "zstd", "none" or { codec, level }' });

/** `compression` of a job. */
export const compressionKey = key({
  schema: compressionSchema.optional().describe('How artifacts are compressed. Default "gzip".'),
  as: "compression",
  read: compressionOf,
  check: (compression, { path }) => levelProblems(compression, [...path, "level"]),
  show: (compression) => compression.level === undefined ? compression.codec : compression,
  flags: {
    compression: {
      flag: "--compression",
      form: "choice",
      metavar: "CODEC",
      values: [...codecNames, "none"],
      description: "gzip (the default), zstd or none.",
    },
    level: {
      flag: "--compression-level",
      form: "count",
      metavar: "N",
      description: "The codec's level.",
    },
  },
  fromFlags({ compression, level }, job) {
    if (level === undefined) return compression;
    const codec = compression ?? job.compression?.codec ?? "gzip";
    if (codec !== "none") return { codec, level };
    throw new BackupError("usage/bad-value", "--compression-level needs a compression", {
      hint: "The compression is none: name a codec, --compression zstd, or leave the level out.",
    });
  },
});

/** The compression of a job; gzip where it says nothing, since every machine can read it. */
function compressionOf(written: z.output<typeof compressionSchema> | undefined): Compression {
  if (written === undefined) return { codec: "gzip" };
  if (typeof written === "string") return { codec: written };
  const { codec, level } = written;
  return level === undefined ? { codec } : { codec, level };
}

/** Each codec knows its own levels. */
function levelProblems(
  written: z.output<typeof compressionSchema> | undefined,
  path: ConfigPath,
): Problem[] {
  if (typeof written !== "object" || written.level === undefined) return [];
  const { codec, level } = written;
  try {
    findCodec(codec).open({ level });
    return [];
  } catch (error) {
    if (!hasCode(error, "config/compression-level")) throw error;
    const expected = (error.hint ?? "").replace(/^Use /, "").replace(/\.$/, "");
    return [{ path, found: `the number ${level}`, expected }];
  }
}
