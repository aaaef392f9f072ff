import type { Strategy } from "../contracts/strategy.ts";
import { type ChainOptions, chainStrategy } from "./chain.ts";

/** Each backup has the changes since the last full one, until a full one is due again. */
export function differential(options: ChainOptions = {}): Strategy {
  return chainStrategy({ id: "differential", kind: "differential", ...options });
}
