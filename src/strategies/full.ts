import { z } from "zod";
import type { Strategy, StrategyKind } from "../contracts/strategy.ts";
import { BackupError } from "../core/errors.ts";

/** Every backup is a full one, and nothing ever builds on it. */
export const full: Strategy = {
  id: "full",
  kinds: ["full"],
  wants({ forced }) {
    if (forced !== undefined && forced !== "full") {
      throw new BackupError("usage/kind-unsupported", `Cannot take a backup of kind "${forced}"`, {
        hint: 'The job\'s strategy is "full"; leave --kind out, or give --kind full.',
      });
    }
    return { kind: "full", parent: undefined, reason: "the job's strategy is full" };
  },
  decide: (wish) => ({ ...wish, isBase: false }),
};

/** See {@link full}. */
export const fullKind: StrategyKind<"full", Record<never, never>> = {
  id: "full",
  description: "Every backup is a full one.",
  options: z.strictObject({}),
  open: () => full,
};
