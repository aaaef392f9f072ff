import type { JobDefinition } from "../../config/model.ts";
import type { Connector } from "../../contracts/connector.ts";
import type { SourceInfo } from "../../contracts/source.ts";
import type { Kind } from "../../contracts/manifest.ts";
import type { BackupRef, StrategyPlan, StrategyWish } from "../../contracts/strategy.ts";
import { type BackupError, toBackupError } from "../../core/errors.ts";
import type { FailedDestination, OpenDestination } from "../shared/destinations.ts";
import type { JobContext } from "../shared/context.ts";
import { readParent, type StoredParent } from "./parents.ts";
import { type HistorySurvey, surveyHistory } from "./survey-history.ts";

/** What a plan is made from. */
export interface PlanRequest {
  readonly job: JobDefinition;
  readonly sourceTag: string;
  readonly connector: Connector;
  /** Where the backup is to go. */
  readonly open: readonly OpenDestination[];
  /** What the source said before it was known what the backup would build on. */
  readonly info: SourceInfo;
  readonly startedAt: Date;
  readonly forced: Kind | undefined;
}

/** What a run does before its dump, so that the plan can be carried out; a preview does nothing. */
export interface PlanActions {
  /**
   * Brings a destination what it lacks of the chain.
   *
   * @returns what went wrong, and whether with what was read
   */
  heal(target: SurveyedDestination, lacking: Lacking): Promise<HealFailure | undefined>;
  /** Tells the source again of what is committed: a run may have been killed before it did. */
  acknowledge(parent: StoredParent): Promise<void>;
}

/** A destination and what it has of the job. */
export type SurveyedDestination = HistorySurvey["listed"][number];

/** What a destination lacks, the full backup first. */
export type Lacking = ReturnType<HistorySurvey["lacking"]>;

/** Why a destination could not be healed. */
export interface HealFailure {
  readonly id: string;
  readonly error: BackupError;
  /** True where no copy of it could be read; else it is the destination that failed. */
  readonly isOfSource: boolean;
}

/** What a run is going to take. */
export interface BackupPlan extends StrategyPlan {
  /** What it builds on, read; undefined for a full one. */
  readonly stored: StoredParent | undefined;
  /** Where it goes. */
  readonly open: readonly OpenDestination[];
  /** Destinations that the run does without. */
  readonly refused: readonly FailedDestination[];
  /** As the source says it of this plan. */
  readonly info: SourceInfo;
}

/**
 * Plans a backup: what history and clock ask for, then what destinations, the parent and the server
 * allow. A destination that lacks what the backup would build on is healed first, and left out where
 * that fails; where no copy of it can be read, a full backup is taken instead.
 *
 * @throws BackupError `usage/kind-unsupported` when the forced kind cannot be had
 */
export async function planBackup(
  request: PlanRequest,
  actions: PlanActions,
  o: JobContext,
): Promise<BackupPlan> {
  const { job, connector, open, startedAt, forced } = request;
  const { strategy } = job;
  const survey = await surveyHistory({ job: job.name, sourceTag: request.sourceTag }, open, o);
  const wish = strategy.wants({
    history: survey.history,
    now: startedAt,
    ...forced === undefined ? {} : { forced },
  });
  const { settings } = job;
  const choose = (wish: StrategyWish, info: SourceInfo, stored?: StoredParent) =>
    strategy.decide(wish, {
      parent: stored?.manifest,
      info,
      settings,
      ...forced === undefined ? {} : { forced },
    });
  const full = (plan: StrategyPlan): BackupPlan => (
    { ...plan, stored: undefined, open, refused: [], info: request.info }
  );
  if (wish.parent === undefined) return full(choose(wish, request.info));

  const healed = await healAll(survey, wish.parent, actions);
  if (healed.obstacle !== undefined) {
    return full(choose(...impossible(wish, request.info, healed.obstacle)));
  }
  let stored: StoredParent;
  try {
    stored = await readParent(wish.parent, survey.found, job.database.kind, o);
  } catch (error) {
    o.signal.throwIfAborted();
    const { message } = toBackupError(error);
    return full(choose(...impossible(wish, request.info, message)));
  }
  await actions.acknowledge(stored);
  const since = { kind: wish.kind, parent: stored.manifest };
  const asked = await connector.inspect({ signal: o.signal, settings, job: job.name, since });
  const plan = choose(wish, asked, stored);
  if (plan.parent === undefined) return full(plan);
  return { ...plan, stored, open: healed.open, refused: healed.refused, info: asked };
}

/** A wish that came to nothing before the server was asked; the strategy decides what then. */
function impossible(
  wish: StrategyWish,
  info: SourceInfo,
  reason: string,
): [StrategyWish, SourceInfo] {
  return [wish, { ...info, continues: { isPossible: false, reason } }];
}

async function healAll(
  survey: HistorySurvey,
  parent: BackupRef,
  actions: PlanActions,
): Promise<{ open: OpenDestination[]; refused: FailedDestination[]; obstacle?: string }> {
  const open: OpenDestination[] = [];
  // Nobody knows whether these have it, and a chain with a hole is none.
  const refused: FailedDestination[] = [...survey.unlisted];
  for (const target of survey.listed) {
    const { destination } = target;
    const lacking = survey.lacking(destination, parent);
    const failure = lacking.length === 0 ? undefined : await actions.heal(target, lacking);
    if (failure === undefined) {
      open.push(destination);
    } else if (failure.isOfSource) {
      const { id, error } = failure;
      const obstacle =
        `"${destination.name}" lacks ${id}, which cannot be copied there: ${error.message}`;
      return { open, refused, obstacle };
    } else {
      refused.push({ name: destination.name, error: failure.error });
    }
  }
  return { open, refused };
}
