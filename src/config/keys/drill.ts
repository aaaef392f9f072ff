import { z } from "zod";
import { duration } from "../../contracts/duration.ts";
import { formatDuration, parseDuration } from "../../core/units.ts";
import type { DrillSettings } from "../definitions.ts";
import { key } from "../job-key.ts";

const sql = z.string().min(1).describe("The first column of its first row is compared.");
const drillAssertion = z.union([
  z.strictObject({ sql, equals: z.union([z.string(), z.number(), z.boolean()]) }),
  z.strictObject({ sql, atLeast: z.number() }),
  z.strictObject({ sql, newerThan: duration.describe('It is a time, at most so long ago: "2h".') }),
  z.strictObject({
    command: z.string().min(1)
      .describe("A line for sh, which must exit 0; $DBBACKUP_DRILL_TARGET is what was restored."),
  }),
], {
  error: "expected { sql, equals }, { sql, atLeast }, { sql, newerThan } or { command }",
});
/** What a restored database must answer. */
const drillSchema = z.strictObject({
  assert: z.array(drillAssertion).describe("What must hold of the restored database."),
});

/** `drill` of a job. */
export const drillKey = key({
  schema: drillSchema.optional()
    .describe("What `verify --drill` asks of the database that it restores."),
  as: "drill",
  read: drillOf,
  show: shownDrill,
});

function drillOf(written: z.output<typeof drillSchema> | undefined): DrillSettings | undefined {
  return written && {
    assert: written.assert.map((one) =>
      "newerThan" in one ? { sql: one.sql, newerThanMs: parseDuration(one.newerThan)! } : one
    ),
  };
}

function shownDrill(drill: DrillSettings | undefined): unknown {
  return drill && {
    assert: drill.assert.map((one) =>
      "newerThanMs" in one ? { sql: one.sql, newerThan: formatDuration(one.newerThanMs) } : one
    ),
  };
}
