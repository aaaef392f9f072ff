import { isDamaged } from "../catalog/standing.ts";
import type { RestoredPart, RestoreResult, RestoreStep } from "../contracts/restore.ts";
import type { InventoryDifference } from "../contracts/inventory.ts";
import { counted, formatBytes, formatDuration, listed } from "../core/text.ts";
import type { PreparedRestore } from "../jobs/restore/types.ts";
import { rawBytesOf } from "../catalog/seal.ts";
import type { Session } from "./session.ts";
import { formatTime, formatTook, isLocal, localTime } from "./times.ts";

const mostObjects = 20;

/** The plan of a restore, for people who are about to say yes. */
export function describePlan(
  prepared: PreparedRestore,
  asked: {
    readonly only: readonly string[];
    readonly accounts: boolean;
    readonly at: string | undefined;
    readonly atPosition: string | undefined;
  },
  session: Session,
): string {
  const { manifest, plan, from, backup, until } = prepared;
  const isMoment = until !== undefined && "at" in until;
  const consistentAt = isMoment ? until.at : new Date(manifest.consistentAt);
  const age = formatDuration(session.host.now().getTime() - consistentAt.getTime());
  const lines = [
    session.paint("bold", `Restore backup ${manifest.id} of job ${manifest.job}`),
    `  data of   ${formatTime(consistentAt)}, ${age} ago`,
    ...describeMoment(prepared, asked).map((line) => `  moment    ${line}`),
    `  what      ${manifest.kind} backup of ${manifest.source.flavour} ${manifest.source.version}, ` +
    `${formatBytes(rawBytesOf(manifest))} raw`,
    ...describeLinks(prepared),
    ...describeTime(prepared),
    `  from      ${from}: ${backup.prefix}`,
    `  to        ${plan.target}`,
    ...asked.only.length === 0 ? [] : [`  only      ${asked.only.join(", ")}`],
    ...asked.accounts ? ["  accounts  will be restored, too"] : [],
    ...plan.steps.flatMap((step) => [
      `  ${describeStep(step, session)}`,
      ...step.part === undefined ? [] : describePart(step.part, session),
    ]),
  ];
  if (plan.isCheckedFirst) {
    lines.push("  The whole backup will be read and checked before the target is changed.");
  }
  for (const { name, reason, objects } of manifest.omitted) {
    const which = objects === undefined || objects.length === 0 ? "" : ` (${listed(objects)})`;
    lines.push(
      session.paint("yellow", `  The backup does not have ${name}: ${reason}${which}`),
    );
  }
  if (backup.copies.every(isDamaged)) {
    lines.push(session.paint("red", "  warning: this backup is marked as damaged"));
  }
  for (const warning of plan.warnings) {
    lines.push(session.paint("yellow", `  warning: ${warning}`));
  }
  return lines.join("\n");
}

/** What was asked for, where the plan is not plainly that. */
function describeMoment(
  { asked: at, until, manifest }: PreparedRestore,
  asked: { readonly at: string | undefined; readonly atPosition: string | undefined },
): string[] {
  if (asked.atPosition !== undefined) return [`up to and with position ${asked.atPosition}`];
  if (at === undefined || asked.at === undefined) return [];
  const local = isLocal(asked.at) ? [`${localTime(at)} by this machine's time zone`] : [];
  const laterMs = Date.parse(manifest.consistentAt) - at.getTime();
  if (until !== undefined || laterMs === 0) return local;
  const which = laterMs > 0 ? "the backup that is listed at" : "the newest backup at or before";
  return [...local, `no log is kept: this is ${which} ${formatTime(at)}`];
}

/** What is fetched, by kind. */
function describeLinks({ links, storedBytes }: PreparedRestore): string[] {
  const head = `  reads     ${counted(links.length, "backup")}, ${
    formatBytes(storedBytes)
  } to fetch`;
  if (links.length === 1) return [head];
  const kinds = [...Map.groupBy(links, ({ kind }) => kind)];
  return [
    head,
    ...kinds.map(([kind, some]) => `    ${kind}: ${some.map(({ id }) => id).join(", ")}`),
  ];
}

/** How long it may take, by the last drill. */
function describeTime({ storedBytes, lastDrill }: PreparedRestore): string[] {
  if (lastDrill === undefined) return [];
  const { at, restoreMs, fetchedBytes } = lastDrill;
  const ms = restoreMs * Math.max(1, storedBytes) / Math.max(1, fetchedBytes);
  return [
    `  takes     about ${formatTook(ms)}, by the drill of ${formatTime(at)}: ` +
    `${formatBytes(fetchedBytes)} in ${formatTook(restoreMs)}`,
  ];
}

/** What was done, and what may be done next. */
export function describeResult(
  result: RestoreResult,
  { manifest, plan }: Pick<PreparedRestore, "manifest" | "plan">,
  session: Session,
): string {
  const lines = result.steps.map((step) => describeDone(step, result, session));
  if (result.isCompared === true && result.differences.length === 0) {
    // What the plan, or the result, has told of is not what was compared.
    const isTold = manifest.omitted.length + plan.warnings.length + result.warnings.length +
            result.failures.length > 0 || plan.steps.some(({ part }) => part !== undefined);
    lines.push(`  compared with the backup's inventory: nothing ${isTold ? "else " : ""}differs`);
  }
  for (const difference of result.differences) {
    const accepted = difference.isFailure && result.left.length + result.failures.length === 0
      ? " (accepted)"
      : "";
    lines.push(`  differs: ${differenceText(difference)}${accepted}`);
  }
  for (const warning of result.warnings) lines.push(`  warning: ${warning}`);
  if (result.followUps.length > 0) {
    lines.push("You may want to:", ...result.followUps.map((command) => `  ${command}`));
  }
  return lines.join("\n");
}

/** The plan for `--json`. */
export function planJson(
  { manifest, plan, from, backup, until, links, asked }: PreparedRestore,
): unknown {
  return {
    backup: manifest.id,
    job: manifest.job,
    kind: manifest.kind,
    consistentAt: manifest.consistentAt,
    until: until === undefined ? null : "at" in until ? until.at.toISOString() : until.position,
    asked: asked?.toISOString() ?? null,
    chain: links.map((link) => ({ ...link, consistentAt: link.consistentAt.toISOString() })),
    from,
    prefix: backup.prefix,
    target: plan.target,
    steps: plan.steps,
    isCheckedFirst: plan.isCheckedFirst,
    omitted: manifest.omitted,
    warnings: plan.warnings,
  };
}

/** The result for `--json`. */
export function resultJson(result: RestoreResult): unknown {
  const { steps, failures, left, differences, warnings, followUps } = result;
  const isCompared = result.isCompared === true;
  return { steps, failures, left, isCompared, differences, warnings, followUps };
}

/** One database, and what became of it. */
function describeDone(step: RestoreStep, result: RestoreResult, session: Session): string {
  const { from, to, mode, keptAs, adopts, part } = step;
  const beside = result.left.find((one) => one.from === from && one.to === to);
  if (beside !== undefined && beside.name !== to) {
    return `${
      session.paint("yellow", "beside")
    }    ${beside.name} (for ${to}, which was not touched)`;
  }
  const hasFailures = result.failures.some(({ database }) => database === to);
  const word = beside !== undefined || hasFailures
    ? session.paint("yellow", "partly restored")
    : session.paint("green", "restored");
  const kept = keptAs === undefined ? "" : `; the old one is kept as ${keptAs}`;
  const how = adopts === undefined
    ? `${doneWords[mode]}${part !== undefined && mode === "replace" ? " in part" : ""}`
    : adopts === to
    ? "taken as it is"
    : `${adopts} taken as it is`;
  return `${word}  ${to} (${how}${kept})`;
}

const doneWords: Readonly<Record<RestoreStep["mode"], string>> = {
  create: "created",
  fill: "filled",
  swap: "swapped in",
  replace: "replaced",
};

function describeStep(step: RestoreStep, session: Session): string {
  const name = step.from === step.to ? step.to : `${step.from} → ${step.to}`;
  if (step.adopts !== undefined) return `${name}: ${adoption(step.adopts, step)}`;
  switch (step.mode) {
    case "create":
      return `${name}: will be created`;
    case "fill":
      return step.part === undefined
        ? `${name}: exists and is empty; will be filled`
        : `${name}: exists; what it lacks will be added`;
    case "swap": {
      const kept = step.keptAs === undefined ? "" : `; the old one will be kept as ${step.keptAs}`;
      return `${name}: will be restored under a temporary name, then swapped in${kept}`;
    }
    case "replace":
      return session.paint(
        "red",
        `${name}: ${step.part === undefined ? "" : "a part of it "}will be REPLACED. ${
          step.loses ?? "Its content will be lost."
        }`,
      );
  }
}

/** What of a database is restored, and what becomes of what that needs. */
function describePart({ asked, along, used, notes }: RestoredPart, session: Session): string[] {
  return [
    ...rowsOf("restores", asked),
    ...rowsOf("along", along),
    ...rowsOf("uses", used),
    ...rowsOf("note", notes).map((line) => session.paint("yellow", line)),
  ];
}

/** One on a line, with the word before the first. */
function rowsOf(word: string, objects: readonly string[]): string[] {
  const shown = objects.length > mostObjects
    ? [...objects.slice(0, mostObjects), `and ${objects.length - mostObjects} more: --json`]
    : objects;
  return shown.map((object, at) => `    ${(at === 0 ? word : "").padEnd(10)}${object}`);
}

/** What an earlier restore left is not restored again. */
function adoption(adopts: string, { to, keptAs }: RestoreStep): string {
  if (adopts === to) {
    return "will be taken as an earlier restore of this backup left it; nothing is restored again";
  }
  const kept = keptAs === undefined ? "" : `; the old one will be kept as ${keptAs}`;
  return `will be put in its place from ${adopts}, as an earlier restore of this backup left it; ` +
    `nothing is restored again${kept}`;
}

/** One difference from the inventory, for people. */
export function differenceText(
  difference: Omit<InventoryDifference, "isFailure" | "type"> & { readonly type: string },
): string {
  const what = `${difference.type} ${difference.database}: ${difference.name}`;
  if (difference.problem === "count") {
    return `${what} has ${difference.found ?? "?"} rows, the backup says ${
      difference.expected ?? "?"
    }`;
  }
  return difference.problem === "missing"
    ? `${what} is missing`
    : `${what} exists, though the backup does not have it`;
}
