import { z } from "zod";
import type { Strategy } from "../../contracts/strategy.ts";
import { strategyKinds, type StrategyWritten } from "../../registry.ts";
import { key } from "../job-key.ts";
import { quoted } from "../problems.ts";

const ids = strategyKinds.map(({ id }) => id);
const options = [...new Set(strategyKinds.flatMap((one) => Object.keys(one.options.shape)))];
const [first, ...others] = strategyKinds.map(({ id, description, options }) =>
  z.strictObject({ type: z.literal(id).describe(description), ...options.shape })
);
const form = { error: `expected ${quoted(ids)} or { ${["type", ...options].join(", ")} }` };

/** What each run takes. */
// What is made of all strategies alike has the type that they say: this is the only cast.
export const strategySchema = z.union(
  [
    z.enum(ids),
    z.discriminatedUnion("type", [first!, ...others], { error: `expected one of ${quoted(ids)}` }),
  ],
  form,
) as unknown as z.ZodType<StrategyWritten, StrategyWritten>;

/** `strategy` of a job. */
export const strategyKey = key({
  schema: strategySchema.optional().describe('What each run takes. Default "full".'),
  as: "strategy",
  read: strategyOf,
  show: ({ id }) => id,
  // Every kind of backup that it takes is one that the kind of database has.
  check(written, { path, isDefault, kinds: [connector] }) {
    const strategy = strategyOf(written);
    const { title = "", kinds = ["full" as const] } = connector ?? {};
    const lacking = strategy.kinds.find((kind) => !kinds.includes(kind));
    if (isDefault || lacking === undefined) return [];
    return [{
      path,
      found: `"${strategy.id}", and ${title} has no ${lacking} backups here`,
      expected: `a strategy of ${kinds.join(" and ")} backups`,
    }];
  },
  isCheckedInEachJob: true,
});

/** The strategy of a job; full backups where it says nothing. */
function strategyOf(written: StrategyWritten = "full"): Strategy {
  const { type, ...own } = typeof written === "string" ? { type: written } : written;
  return strategyKinds.find(({ id }) => id === type)!.open(own);
}
