import { adHocDestinations, givenDatabase } from "../given.ts";
import { commonFlags, defineCommand, listOption, merge, object, textOption } from "../command.ts";
import {
  type Examination,
  examineDatabase,
  examineDestination,
  examineFolder,
  type Finding,
} from "../doctor.ts";
import { examineEncryption } from "../doctor-encryption.ts";
import type { Colour, Session } from "../session.ts";

/** `doctor`. */
export const doctor = defineCommand({
  path: ["doctor"],
  brief: "Look for what would go wrong, before it does.",
  description: "Looks at every database (tools, versions, privileges, what a dump would leave " +
    "out, clock), every destination (what it can do, tried with small objects that are removed " +
    "again; free space), the keys of jobs that encrypt, and the folders for state and temporary files. With --from it looks at " +
    "one database and needs no config. The exit status tells the worst that was found.",
  examples: [
    "dbbackup doctor",
    "dbbackup doctor --from postgres://app@localhost/shop --to /var/backups",
  ],
  parser: merge(
    object({
      from: textOption("--from", "URL", "A database to look at, without a config."),
      passwordFile: textOption("--password-file", "PATH", "A file with the password of --from."),
      to: listOption("--to", "DEST", "A destination to look at, without a config."),
    }),
    commonFlags,
  ),
  async run({ from, passwordFile, to }, session) {
    const isAdHoc = from !== undefined || to.length > 0;
    const config = isAdHoc ? await session.namedConfig() : await session.config();
    const databases = from === undefined
      ? isAdHoc ? [] : [...config?.databases.values() ?? []]
      : [await givenDatabase(from, passwordFile, config, session)];
    const destinations = isAdHoc
      ? await adHocDestinations(to, session)
      : [...config?.destinations.values() ?? []];
    const examinations: Examination[] = [];
    const note = (examination: Examination) => {
      examinations.push(examination);
      session.print(describe(examination, session));
    };
    for (const database of databases) {
      const jobs = [...config?.jobs.values() ?? []]
        .filter((job) => job.database.name === database.name);
      note(await examineDatabase(database, jobs, session));
    }
    for (const destination of destinations) note(await examineDestination(destination, session));
    if (config !== undefined && !isAdHoc) {
      for (const job of config.jobs.values()) {
        if (job.encryption !== undefined) note(await examineEncryption(job, config, session));
      }
    }
    const { stateDir, runtime } = session.job("doctor");
    note(await examineFolder("stateDir", stateDir, session));
    note(await examineFolder("tempDir", runtime.tempDir, session));
    return { json: examinations, codes: examinations.flatMap(({ codes }) => codes) };
  },
});

const marks: Readonly<Record<Finding["status"], readonly [Colour, string]>> = {
  ok: ["green", "ok     "],
  lacks: ["dim", "lacks  "],
  warning: ["yellow", "warning"],
  error: ["red", "ERROR  "],
};

function describe({ what, name, findings }: Examination, session: Session): string {
  const lines = findings.map(({ status, text }) => {
    const [colour, word] = marks[status];
    return `  ${session.paint(colour, word)}  ${text}`;
  });
  return [session.paint("bold", `${what} ${name}`), ...lines].join("\n");
}
