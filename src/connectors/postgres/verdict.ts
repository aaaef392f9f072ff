import type { RestoreOptions, RestoreStep } from "../../contracts/restore.ts";
import type { Absence } from "./absence.ts";
import type { ArchiveHead, TocEntry } from "./archive/toc.ts";
import { areRowsRefused } from "./phases.ts";
import {
  isOfContention,
  isOfLostConnection,
  isOfOtherLanguage,
  isOfTooManyConnections,
  type ToolFailure,
} from "./tool-failure.ts";

/** What to do about failures while they come. */
export interface Verdict extends Manner {
  isOneTransaction: boolean;
  /** The failure for which all begins again. */
  again?: {
    readonly failure: ToolFailure;
    readonly how: "other path" | "in phases" | "without it" | "one worker";
  };
  judge(failure: ToolFailure): "stop" | "go on";
  /**
   * Whether it may have failed only because others were at work, or because something failed before
   * it that several workers go on after: it is made again when all are done.
   */
  isRaced(failure: ToolFailure): boolean;
}

/** How a run restores. */
interface Manner {
  readonly isPhased: boolean;
  readonly jobs: number;
}

/** Judges the failures of one run. */
export function judging(
  { head, options, mode }: {
    readonly head: ArchiveHead;
    readonly options: Pick<RestoreOptions, "isKeepGoing">;
    readonly mode: RestoreStep["mode"];
  },
  absence: Absence,
  hasOtherPath: boolean,
  manner: Manner,
): Verdict {
  const kindOf = kindReader(head);
  const verdict: Verdict = {
    ...manner,
    isOneTransaction: false,
    isRaced: (failure) => manner.jobs > 1 || isOfContention(failure),
    judge(failure) {
      if (manner.jobs > 1 && isOfTooManyConnections(failure)) {
        verdict.again ??= { failure, how: "one worker" };
        return "stop";
      }
      // Without the connection everything else fails, too.
      if (isOfLostConnection(failure)) return "stop";
      if (absence.explains(failure)) {
        if (!verdict.isOneTransaction) return "go on";
        verdict.again ??= { failure, how: "without it" };
        return "stop";
      }
      const isCurable = kindOf(failure) === "curable";
      const isAlone = isMadeAlone(failure.entry) && !verdict.isOneTransaction;
      if ((isCurable || verdict.isRaced(failure)) && isAlone) return "go on";
      const isOfAbsent = absence.isOfAbsent(failure);
      if (isCurable && hasOtherPath && !isOfAbsent) {
        verdict.again ??= { failure, how: "other path" };
        return "stop";
      }
      // Of what is replaced, nothing is put back; and no order of rows finds a name.
      const isOfRows = areRowsRefused(failure) &&
        (!isCurable || isOfAbsent || options.isKeepGoing);
      if (isOfRows && mode !== "replace") {
        if (manner.isPhased) return "go on";
        verdict.again ??= { failure, how: "in phases" };
        return "stop";
      }
      return options.isKeepGoing ? "go on" : "stop";
    },
  };
  return verdict;
}

/** Whether an entry needs no rows of the archive; comments and privileges are in no section. */
export function isMadeAlone(entry: TocEntry | undefined): boolean {
  return entry !== undefined && entry.section !== "pre-data" && entry.section !== "data";
}

/** See {@link kindReader}. */
export type FailureKind = "curable" | "other";

/**
 * Tells, one after the other, which failures may come of the search_path, or of others that do. The
 * server says that it does not find a name; in other languages than English anything could be that.
 */
export function kindReader({ entries }: ArchiveHead): (failure: ToolFailure) => FailureKind {
  const byId = new Map(entries.map((entry) => [entry.dumpId, entry]));
  const failed = new Map<number, FailureKind>();
  return ({ entry, message }) => {
    if (entry === undefined) return "other";
    const causes = causesOf(entry, byId, failed);
    const isMissingName = /does not exist|no schema has been selected/.test(message) ||
      isOfOtherLanguage(message);
    const isCurable = !causes.includes("other") && (causes.length > 0 || isMissingName);
    failed.set(entry.dumpId, isCurable ? "curable" : "other");
    return isCurable ? "curable" : "other";
  };
}

/** What became of those that an entry needs, directly or not, and of itself so far. */
function causesOf(
  entry: TocEntry,
  byId: ReadonlyMap<number, TocEntry>,
  failed: ReadonlyMap<number, FailureKind>,
): FailureKind[] {
  if (failed.size === 0) return [];
  const seen = new Set([entry.dumpId]);
  for (const id of seen) byId.get(id)?.dependencies.forEach((one) => seen.add(one));
  return [...seen].flatMap((id) => failed.get(id) ?? []);
}
