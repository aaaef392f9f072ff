import type { Strategy, StrategyKind } from "../contracts/strategy.ts";
import { parseDuration } from "../core/units.ts";
import { type ChainOptions, chainSchema, type ChainSettings, chainStrategy } from "./chain.ts";

/** Each backup has the changes since the last one of any kind, until a full one is due again. */
export function incremental(options: ChainOptions = {}): Strategy {
  return chainStrategy({ id: "incremental", kind: "incremental", ...options });
}

/** See {@link incremental}. */
export const incrementalKind: StrategyKind<"incremental", ChainSettings> = {
  id: "incremental",
  description:
    "Each backup has the changes since the last one of any kind, until a full one is due.",
  options: chainSchema,
  open: ({ fullEvery }) => incremental({ fullEveryMs: parseDuration(fullEvery ?? "") }),
};
