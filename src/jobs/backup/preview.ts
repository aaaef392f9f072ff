import { defaultStallTimeoutMs } from "../../config/model.ts";
import { openWithLimits } from "../../connectors/limits.ts";
import { withDeferred } from "../../core/defer.ts";
import { closeDestinations, openDestinations } from "../shared/destinations.ts";
import { identifySource } from "../shared/source.ts";
import { assertAccepted } from "./accepted.ts";
import { planBackup } from "./plan.ts";
import { noActions } from "./plan-actions.ts";
import type { PreviewBackup } from "./types.ts";

/** Says what a run would take, and changes nothing. See {@link PreviewBackup}. */
export const previewBackup: PreviewBackup = (job, o) =>
  withDeferred(async (defer) => {
    const answerMs = Math.max(job.stallTimeoutMs, defaultStallTimeoutMs);
    const connector = await openWithLimits(job.database, { answerMs }, o);
    defer(() => connector.close());
    const { open, failed } = await openDestinations(job.destinations, { ...o, isEachItsOwn: true });
    defer(() => closeDestinations(open));
    if (open.length === 0) throw failed[0]!.error;
    const { signal } = o;
    const info = await connector.inspect({
      signal,
      settings: job.settings,
      job: job.name,
      isBase: job.strategy.kinds.length > 1,
    });
    assertAccepted(job, info.omissions, "dump/would-omit");
    const source = await identifySource(job.database, info, o);
    const healed: { destination: string; backups: readonly string[] }[] = [];
    const plan = await planBackup(
      {
        job,
        sourceTag: source.tag,
        connector,
        open,
        info,
        startedAt: o.runtime.now(),
        forced: o.kind,
      },
      noActions((destination, backups) => healed.push({ destination, backups })),
      o,
    );
    return {
      job: job.name,
      kind: plan.kind,
      parent: plan.parent?.id,
      reason: plan.reason,
      ...plan.wanted === undefined ? {} : { wanted: plan.wanted },
      healed: plan.kind === "full" ? [] : healed,
      refused: [...failed, ...plan.refused].map(({ name, error }) => ({
        destination: name,
        reason: error.message,
      })),
      warnings: plan.info.warnings,
    };
  });
