import type { Connector } from "../../contracts/connector.ts";
import { type BackupError, toBackupError } from "../../core/errors.ts";
import { copyOne } from "../copy/copy.ts";
import type { JobContext } from "../shared/context.ts";
import type { History } from "../shared/history.ts";
import type { Meter } from "../shared/progress.ts";
import type { PlanActions } from "./plan.ts";

/** What a run does so that its plan can be carried out. */
export function planActions(
  { connector, history, meter, onHealing, onWarning }: {
    readonly connector: Connector;
    readonly history: History;
    readonly meter: Meter;
    readonly onHealing: (destination: string, backups: readonly string[]) => void;
    readonly onWarning: (error: BackupError) => void;
  },
  o: JobContext,
): PlanActions {
  return {
    async heal({ destination: target, there }, lacking) {
      onHealing(target.name, lacking.map(({ ref }) => ref.id));
      for (const { ref, copies } of lacking) {
        const others = copies.filter(({ destination }) => destination !== target);
        const found = { ref, copies: others };
        const result = await copyOne(found, { target, there, history }, meter, o);
        if (result.error === undefined) continue;
        return { id: ref.id, error: result.error, isOfSource: result.isOfSource === true };
      }
      return undefined;
    },
    async acknowledge({ manifest }) {
      try {
        await connector.acknowledge?.(manifest, o);
      } catch (error) {
        o.signal.throwIfAborted();
        onWarning(toBackupError(error));
      }
    },
  };
}

/** The actions of a preview: none, but for a note of what a run would heal. */
export function noActions(
  onHealing: (destination: string, backups: readonly string[]) => void,
): PlanActions {
  return {
    heal({ destination }, lacking) {
      onHealing(destination.name, lacking.map(({ ref }) => ref.id));
      return Promise.resolve(undefined);
    },
    acknowledge: () => Promise.resolve(),
  };
}
