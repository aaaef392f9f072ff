import type { Codec } from "../contracts/codec.ts";
import type { Bytes } from "../core/bytes.ts";
import { compressBlocks } from "./blocks.ts";
import { openGzipWorkers } from "./gzip-workers.ts";
import { gzipUnits, withLength } from "./gzip-members.ts";
import { checkedLevel } from "./level.ts";
import { contentOf } from "./units.ts";

const defaultLevel = 6;

/**
 * gzip (RFC 1952): independent members of 1 MiB content. Reads any sequence of members. Levels 1 to
 * 9, default 6.
 */
export const gzip: Codec = {
  id: "gzip",
  suffix: "gz",
  decodeCommand: () => "gzip -dc",
  open({ level = defaultLevel }) {
    checkedLevel("gzip", level, 1, 9);
    return {
      parameters: { level },
      encode: (bytes) => encode(bytes, level),
      decode: (bytes) => contentOf(gzipUnits(bytes)),
    };
  },
};

async function* encode(bytes: Bytes, level: number): Bytes {
  const workers = openGzipWorkers(level);
  try {
    yield* compressBlocks(bytes, async (block) => {
      const { member, buffer } = await workers.compress(block);
      return { parts: withLength(member), owned: member, buffer };
    });
  } finally {
    await workers.close();
  }
}
