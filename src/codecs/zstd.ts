import type { Codec } from "../contracts/codec.ts";
import { compressBlocks } from "./blocks.ts";
import { zstdFrame } from "./engine.ts";
import { checkedLevel } from "./level.ts";
import { contentOf } from "./units.ts";
import { zstdUnits } from "./zstd-frames.ts";

const defaultLevel = 3;

/**
 * Zstandard (RFC 8878): independent frames of 1 MiB content, each with its size and checksum. Reads
 * any sequence of frames that needs no dictionary. Levels 1 to 19, default 3.
 */
export const zstd: Codec = {
  id: "zstd",
  suffix: "zst",
  decodeCommand: () => "zstd -dc",
  open({ level = defaultLevel }) {
    checkedLevel("zstd", level, 1, 19);
    return {
      parameters: { level },
      encode: (bytes) =>
        compressBlocks(bytes, async ({ buffer, length }) => {
          const parts = await zstdFrame(buffer.subarray(0, length), level);
          return { parts, owned: parts[0], buffer };
        }),
      decode: (bytes) => contentOf(zstdUnits(bytes)),
    };
  },
};
