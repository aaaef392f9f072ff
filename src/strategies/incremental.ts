import type { Strategy } from "../contracts/strategy.ts";
import { type ChainOptions, chainStrategy } from "./chain.ts";

/** Each backup has the changes since the last one of any kind, until a full one is due again. */
export function incremental(options: ChainOptions = {}): Strategy {
  return chainStrategy({ id: "incremental", kind: "incremental", ...options });
}
