import type { RestoreStep } from "../../../contracts/restore.ts";
import { presentDatabases } from "../databases.ts";
import type { StillEvents } from "../feed.ts";
import type { RestoreContext } from "../restore-context.ts";
import { requireTool } from "../tools.ts";
import { enableEvents, stillingEvents } from "./event-scheduler.ts";
import { replay } from "./replay.ts";
import type { EventStatus } from "./statement-filter.ts";
import { assertStop } from "./stop.ts";

/** The changes of a chain, to be replayed on its full backup. */
export interface Changes {
  /** Keeps scheduled events of the full backup's dump still. */
  readonly stillEvents: StillEvents;
  /** Replays them. @returns the steps whose database was there at that moment */
  replay(steps: readonly RestoreStep[]): Promise<{
    readonly there: readonly RestoreStep[];
    readonly warnings: readonly string[];
  }>;
}

/**
 * Opens the changes of a chain; nothing is touched yet.
 *
 * @throws BackupError `dump/tool-missing`, `usage/no-such-position`
 */
export async function openChanges(r: RestoreContext): Promise<Changes> {
  const { selection: { later }, options: { until }, server, address, client } = r;
  const tool = await requireTool("replay", server, address, r);
  const last = later.at(-1);
  if (last !== undefined && until !== undefined) await assertStop(last, until, r);
  const events = new Map<string, EventStatus>();
  return {
    stillEvents: stillingEvents(events),
    async replay(steps) {
      const warnings = await replay({ backups: later, steps, until, tool, events }, r);
      await enableEvents(events, r);
      const present = await presentDatabases(client, r);
      const missing = steps.filter(({ to }) => !present.has(to));
      return {
        there: steps.filter((step) => !missing.includes(step)),
        warnings: [
          ...warnings,
          ...missing.map(({ to }) => `Database "${to}" was not there at that moment`),
        ],
      };
    },
  };
}
