import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { JobEvent, RunEvent, RunResult } from "../../src/contracts/run.ts";
import { BackupError } from "../../src/core/errors.ts";
import { runFacts } from "../../src/jobs/backup/facts.ts";
import { reportRun } from "../../src/jobs/backup/report.ts";
import { runBackup } from "../../src/jobs/backup/run.ts";
import { memoryStorage } from "../support/memoryStorage.ts";
import { contextOf, jobOf, unreachable } from "./support.ts";

async function eventsOf(job: ReturnType<typeof jobOf>, o = contextOf()) {
  const events: JobEvent[] = [];
  const result = await runBackup(job, { ...o, onEvent: (event) => events.push(event) });
  const ofRun = events.filter((event): event is RunEvent => "run" in event);
  return { result, events, ofRun };
}

const full = () => memoryStorage({ location: "full" });
const broken = () => ({
  ...memoryStorage({ location: "broken" }),
  put: () => Promise.reject(new BackupError("storage/full", "no space left")),
});

describe("the events of a run", () => {
  test("are told in order, each with run, job and time, and end with the result", async () => {
    const { result, events, ofRun } = await eventsOf(jobOf({ a: full() }));
    assert.deepEqual(ofRun.map(({ type }) => type), [
      "started",
      "planned",
      "destination",
      "pruned",
      "finished",
    ]);
    assert.ok(ofRun.every(({ run, job }) => run === result.run && job === "shop"));
    assert.ok(ofRun.every(({ at }) => at instanceof Date));
    const last = ofRun.at(-1)!;
    assert.ok(last.type === "finished" && last.result === result);
    const stages = events.filter((event) => event.type === "stage").map((event) =>
      event.type === "stage" && event.stage
    );
    // SQLite is copied and checked before it is read.
    assert.deepEqual(stages, ["inspect", "dump", "copy", "check", "dump"]);
  });

  test("tell of each destination that is dropped and each that has it", async () => {
    const { ofRun } = await eventsOf(jobOf({ a: full(), b: broken() }));
    const told = ofRun.flatMap((event) => event.type === "destination" ? [event.outcome] : []);
    assert.deepEqual(told.map(({ name, status }) => [name, status]), [
      ["b", "failed"],
      ["a", "committed"],
    ]);
  });

  test("tell of what was pruned, which the result has, too", async () => {
    const o = contextOf();
    const a = full();
    const job = { ...jobOf({ a }), retention: { policy: { last: 1 }, destinations: new Map() } };
    const first = await runBackup(job, o);
    const { result, ofRun } = await eventsOf(job, o);
    assert.equal(result.status, "success", result.error?.message);
    assert.deepEqual(result.pruned, [{ name: "a", location: "full", dropped: [first.run] }]);
    assert.ok(ofRun.some((event) => event.type === "pruned" && event.place === result.pruned[0]));
  });

  test("are read by the record of runs, of a run that failed before it began, too", async () => {
    const o = contextOf();
    const error = new BackupError("storage/denied", "not you");
    const job = { ...jobOf({}), destinations: [unreachable("a", error)] };
    const { result } = await eventsOf(job, o);
    const database = new DatabaseSync(join(o.stateDir, "state.db"));
    const rows = database.prepare("SELECT run, status, code FROM runs").all().map((row) => ({
      ...row,
    }));
    database.close();
    assert.deepEqual(rows, [{ run: result.run, status: "failure", code: "storage/denied" }]);
  });
});

describe("the result of a run", () => {
  const statuses = ({ destinations }: RunResult) =>
    destinations.map(({ name, status }) => [name, status]);

  test("lists every destination as committed or failed", async () => {
    const { result } = await eventsOf(jobOf({ a: broken(), b: full() }));
    assert.deepEqual(statuses(result), [["a", "failed"], ["b", "committed"]]);
  });

  test("lists those that were not tried, because the run ended before", async () => {
    const job = jobOf({ a: full(), b: full() });
    const none = { ...job.database, options: { path: "/there/is/no/such.db" } };
    const { result } = await eventsOf({ ...job, database: none });
    assert.equal(result.status, "failure");
    assert.deepEqual(statuses(result), [["a", "not-tried"], ["b", "not-tried"]]);
    const gone = unreachable("c", new BackupError("storage/denied", "not you"));
    const destinations = [...job.destinations, gone];
    const { result: other } = await eventsOf({ ...job, destinations, database: none });
    assert.deepEqual(statuses(other), [["a", "not-tried"], ["b", "not-tried"], ["c", "failed"]]);
  });
});

describe("the report of a run", () => {
  test("says in a sentence what came of it, and where it is", async () => {
    const { result } = await eventsOf(jobOf({ a: full(), b: full() }));
    const report = reportRun(result);
    assert.equal(report.verdict, "backed up");
    assert.match(report.summary, new RegExp(`^shop as ${result.run}, .+ → .+, in \\d`));
    assert.deepEqual(report.places.map(({ place, state }) => `${place} ${state}`), [
      "a (full) stored",
      "b (full) stored",
    ]);
    assert.equal(report.kind, undefined, "every run of such a job takes a full one");
  });

  test("says of a destination that failed why, and what to do unless the run's error does", async () => {
    const failing = new BackupError("storage/full", "no space left", { hint: "Make room." });
    const other = new BackupError("storage/denied", "not you", { hint: "Ask." });
    const { result } = await eventsOf(jobOf({ a: full() }));
    const report = reportRun({
      ...result,
      status: "partial",
      destinations: [
        { name: "a", location: "/a", status: "committed" },
        { name: "b", location: "/b", status: "failed", error: failing },
        { name: "c", location: "/c", status: "failed", error: other },
      ],
      error: new BackupError("partial/destinations", "missing at 2", { cause: failing }),
    });
    assert.equal(report.verdict, "backed up to some destinations only");
    assert.deepEqual(report.places, [
      { place: "a (/a)", state: "stored", isFailure: false },
      { place: "b (/b)", state: "failed: no space left (storage/full)", isFailure: true },
      { place: "c (/c)", state: "failed: not you (storage/denied)", isFailure: true, hint: "Ask." },
    ]);
  });

  test("is one document for machines, too, with nothing secret in it", async () => {
    const o = contextOf();
    o.runtime.secrets.hide("hunter2-is-secret");
    const { result } = await eventsOf(jobOf({ a: full() }), o);
    const error = new BackupError("storage/denied", "hunter2-is-secret was refused");
    const facts = runFacts({
      ...result,
      status: "partial",
      destinations: [...result.destinations, {
        name: "b",
        location: "/b",
        status: "failed",
        error,
      }],
      error: new BackupError("partial/destinations", "missing", { cause: error }),
    }, o.runtime.secrets);
    const text = JSON.stringify(facts);
    assert.ok(!text.includes("hunter2"), text);
    assert.deepEqual([facts["status"], facts["exitStatus"]], ["partial", 9]);
    assert.deepEqual(facts["pruned"], [{ name: "a", location: "full", dropped: [], error: null }]);
  });

  test("of a failure tells of several destinations, not of the only one again", async () => {
    const { result: one } = await eventsOf(jobOf({ a: broken() }));
    assert.deepEqual([reportRun(one).verdict, reportRun(one).places], ["failed", []]);
    const { result: two } = await eventsOf(jobOf({ a: broken(), b: broken() }));
    assert.equal(reportRun(two).places.length, 2);
  });
});
