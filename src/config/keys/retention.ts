import { z } from "zod";
import type { RetentionPolicy } from "../../catalog/retention.ts";
import { duration } from "../../contracts/duration.ts";
import { formatDuration, parseDuration } from "../../core/units.ts";
import type { JobRetention } from "../definitions.ts";
import { key } from "../job-key.ts";
import { unknownName } from "../problems.ts";
import { count, destinationName } from "../schema-parts.ts";

const retentionRules = {
  last: count.optional().describe("The newest so many."),
  hourly: count.optional().describe("The last of so many hours that have a backup."),
  daily: count.optional().describe("The last of so many days that have a backup."),
  weekly: count.optional().describe("The last of so many weeks that have a backup."),
  monthly: count.optional().describe("The last of so many months that have a backup."),
  yearly: count.optional().describe("The last of so many years that have a backup."),
  maxAge: duration.optional().describe('Older ones are dropped, whatever rule keeps them: "90d".'),
  minKeep: count.optional().describe("So many of the newest are kept, however old they are."),
  minChains: count.optional()
    .describe("Of so many of the newest full backups the newest chain is kept. Default 1."),
};

/** Which backups are kept. */
export const retentionRulesSchema = z.strictObject(retentionRules);
const retention = z.strictObject({
  ...retentionRules,
  destinations: z.record(destinationName, retentionRulesSchema).optional()
    .describe("Destinations with other rules, by name: each replaces all of the rules above."),
});

/** `retention` of a job. */
export const retentionKey = key({
  schema: retention.optional().describe("Which backups are kept. Default: all of them."),
  as: "retention",
  read: retentionOf,
  show: shownRetention,
  // A destination with rules of its own must be one of the job's.
  check: (retention, { path, destinations, isDefault }) =>
    Object.keys(retention?.destinations ?? {}).filter((name) => !destinations.includes(name)).map(
      (name) => {
        const what = isDefault ? "a declared destination" : "a destination of this job";
        return unknownName([...path, "destinations", name], name, what, destinations);
      },
    ),
});

function retentionOf(written: z.output<typeof retention> | undefined): JobRetention | undefined {
  if (written === undefined) return undefined;
  const { destinations = {}, ...rules } = written;
  return {
    policy: policyOf(rules),
    destinations: new Map(
      Object.entries(destinations).map(([name, own]) => [name, policyOf(own)]),
    ),
  };
}

/** Rules with their durations read. */
function policyOf({ maxAge, ...counts }: z.output<typeof retentionRulesSchema>): RetentionPolicy {
  return maxAge === undefined ? counts : { ...counts, maxAgeMs: parseDuration(maxAge) };
}

function shownRetention(retention: JobRetention | undefined): unknown {
  if (retention === undefined) return undefined;
  const { policy, destinations } = retention;
  if (destinations.size === 0) return shownRules(policy);
  const own = [...destinations].map(([name, one]) => [name, shownRules(one)]);
  return { ...shownRules(policy), destinations: Object.fromEntries(own) };
}

function shownRules({ maxAgeMs, ...counts }: RetentionPolicy): Record<string, unknown> {
  return maxAgeMs === undefined ? counts : { ...counts, maxAge: formatDuration(maxAgeMs) };
}
