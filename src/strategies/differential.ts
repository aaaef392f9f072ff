import type { Strategy, StrategyKind } from "../contracts/strategy.ts";
import { parseDuration } from "../core/units.ts";
import { type ChainOptions, chainSchema, type ChainSettings, chainStrategy } from "./chain.ts";

/** Each backup has the changes since the last full one, until a full one is due again. */
export function differential(options: ChainOptions = {}): Strategy {
  return chainStrategy({ id: "differential", kind: "differential", ...options });
}

/** See {@link differential}. */
export const differentialKind: StrategyKind<"differential", ChainSettings> = {
  id: "differential",
  description: "Each backup has the changes since the last full one, until a full one is due.",
  options: chainSchema,
  open: ({ fullEvery }) => differential({ fullEveryMs: parseDuration(fullEvery ?? "") }),
};
