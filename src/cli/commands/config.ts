import { access, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { kindsOf } from "../../config/build.ts";
import { declarationFile } from "../../config/declaration.ts";
import { configNames } from "../../config/find.ts";
import { configJsonSchema } from "../../config/json-schema.ts";
import { type Config, defaultStallTimeoutMs } from "../../config/model.ts";
import { formatPath } from "../../config/problems.ts";
import { referencesIn } from "../../config/references.ts";
import { showConfig } from "../../config/show.ts";
import { tsconfigTemplate, typescriptTemplate, yamlTemplate } from "../../config/template.ts";
import { openWithLimits } from "../../connectors/limits.ts";
import { BackupError, type ErrorCode, systemCode, toBackupError } from "../../core/errors.ts";
import { counted } from "../../core/text.ts";
import { resolveEncryption } from "../../jobs/backup/encryption.ts";
import { openDestination } from "../../jobs/shared/destinations.ts";
import { builtInKinds, type Kinds, withPlugins } from "../../registry.ts";
import { commonFlags, defineCommand, merge, object, textOption, toggle } from "../command.ts";
import { resolveIdentities } from "../encryption.ts";
import { examineDatabase, examineDestination } from "../doctor.ts";
import { errorJson } from "../errors.ts";
import type { Session } from "../session.ts";

/** `config init`. */
export const configInit = defineCommand({
  path: ["config", "init"],
  brief: "Write a commented config to start from.",
  description:
    "Writes backup.config.ts, and dbbackup.d.ts and tsconfig.json, which editors need, " +
    "into the working directory; with --yaml backup.config.yaml and its JSON Schema.",
  examples: ["dbbackup config init", "dbbackup config init --yaml --dir /etc/dbbackup"],
  parser: merge(
    object({
      yaml: toggle("--yaml", "Write YAML instead of TypeScript."),
      force: toggle("--force", "Overwrite files that are there."),
      dir: textOption("--dir", "DIR", "The folder to write to. Default: the working directory."),
    }),
    commonFlags,
  ),
  async run({ yaml, force, dir }, { host, print }) {
    const folder = dir === undefined ? host.cwd : resolve(host.cwd, dir);
    const files = yaml
      ? [["backup.config.yaml", yamlTemplate(builtInKinds)], [
        "backup.config.schema.json",
        builtInSchema(),
      ]]
      : [
        ["backup.config.ts", typescriptTemplate(builtInKinds)],
        ["dbbackup.d.ts", await declarationFile()],
        // One that is there is of the project around, and its owner's.
        ...await isThere(join(folder, "tsconfig.json"))
          ? []
          : [["tsconfig.json", tsconfigTemplate]],
      ];
    if (!force) await assertNoConfig(folder, files.map(([name]) => name!));
    for (const [name, content] of files) await write(join(folder, name!), content!, force);
    const written = files.map(([name]) => join(folder, name!));
    print(
      `${written.map((path) => `wrote ${path}`).join("\n")}\nNext: edit ${written[0]}, then ` +
        "run `dbbackup config check --connect`.",
    );
    return { json: { written } };
  },
});

/** `config check`. */
export const configCheck = defineCommand({
  path: ["config", "check"],
  brief: "Validate the config and resolve everything in it.",
  description: "Loads the config, resolves every environment variable and secret file in it, and " +
    "opens every database and destination without connecting. With --connect it connects to every " +
    "database and writes to every destination.",
  examples: [
    "dbbackup config check",
    "dbbackup config check --connect --config ./backup.config.ts",
  ],
  parser: merge(
    object({ connect: toggle("--connect", "Test every database and destination, too.") }),
    commonFlags,
  ),
  async run({ connect }, session) {
    const config = await session.config();
    const problems = await resolveAll(config, session);
    for (const { key, error } of problems) {
      session.print(`${session.paint("red", "ERROR")}  ${key}: ${error.message} (${error.code})`);
      if (error.hint !== undefined) session.print(`  hint: ${error.hint}`);
    }
    const codes: ErrorCode[] = problems.map(({ error }) => error.code);
    const examinations = connect && problems.length === 0 ? await connectAll(config, session) : [];
    codes.push(...examinations.flatMap((one) => one.codes));
    if (codes.length === 0) {
      session.print(
        `${session.paint("green", "ok")}  ${config.path}: ` +
          `${counted(config.databases.size, "database")}, ` +
          `${counted(config.destinations.size, "destination")}, ${
            counted(config.jobs.size, "job")
          }`,
      );
    }
    const found = problems.map(({ key, error }) => ({
      key,
      error: errorJson(error, session.secrets),
    }));
    return { json: { path: config.path, problems: found, examinations }, codes };
  },
});

/** `config show`. */
export const configShow = defineCommand({
  path: ["config", "show"],
  brief: "Print the config as it is used, secrets redacted.",
  examples: ["dbbackup config show", "dbbackup config show --json | jq .jobs"],
  parser: merge(object({}), commonFlags),
  async run(_, session) {
    const shown = showConfig(await session.config());
    const { stringify } = await import("yaml");
    session.print(stringify(shown).trimEnd());
    return { json: shown };
  },
});

/** `config types`. */
export const configTypes = defineCommand({
  path: ["config", "types"],
  brief: "Print the type file for editors.",
  description:
    "Prints dbbackup.d.ts, which lies beside backup.config.ts and tells editors, tsc and " +
    'deno what "dbbackup" exports. Print it again after an upgrade.',
  examples: ["dbbackup config types > dbbackup.d.ts"],
  parser: merge(object({}), commonFlags),
  async run(_, session) {
    const declaration = await declarationFile();
    session.print(declaration.trimEnd());
    return { json: { declaration } };
  },
});

/** `config schema`. */
export const configSchemaCommand = defineCommand({
  path: ["config", "schema"],
  brief: "Print the JSON Schema of backup.config.yaml.",
  description:
    "Prints the JSON Schema of backup.config.yaml, for editors. With --config it knows " +
    "that config's plugins, too.",
  examples: ["dbbackup config schema > backup.config.schema.json"],
  parser: merge(object({}), commonFlags),
  async run(_, session) {
    const config = await session.namedConfig();
    const schema = config === undefined ? builtInSchema() : schemaText({
      connectors: withPlugins(builtInKinds.connectors, kindsOf(config).connectors),
      storages: withPlugins(builtInKinds.storages, kindsOf(config).storages),
    });
    session.print(schema.trimEnd());
    return { json: JSON.parse(schema) };
  },
});

function builtInSchema(): string {
  return schemaText(builtInKinds);
}

function schemaText(kinds: Pick<Kinds, "connectors" | "storages">): string {
  return `${JSON.stringify(configJsonSchema(kinds), null, 2)}\n`;
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(() => true, () => false);
}

/** Two configs in one folder would be ambiguous, so any other one counts, too. */
async function assertNoConfig(folder: string, names: readonly string[]): Promise<void> {
  for (const name of new Set([...configNames, ...names])) {
    const path = join(folder, name);
    if (!await isThere(path)) continue;
    throw new BackupError("config/exists", `There is already "${path}"`, {
      hint: "Give --force to overwrite what would be written, or --dir for another folder.",
    });
  }
}

/** A full disk must neither leave half a config nor take the one that was there. */
async function write(path: string, content: string, force: boolean): Promise<void> {
  const written = force ? `${path}.new` : path;
  try {
    await writeFile(written, content, { mode: 0o644, flag: force ? "w" : "wx" });
    if (force) await rename(written, path);
  } catch (cause) {
    if (systemCode(cause) !== "EEXIST") await rm(written, { force: true }).catch(() => {});
    throw new BackupError("config/unwritable", `Cannot write "${path}"`, {
      cause,
      hint: "Make the folder and let this user write it, or name another with --dir.",
    });
  }
}

/** Looks every reference up and opens every kind; nothing is connected to. */
async function resolveAll(
  config: Config,
  session: Session,
): Promise<{ key: string; error: BackupError }[]> {
  const problems: { key: string; error: BackupError }[] = [];
  const places = new Map<string, string>();
  const o = { signal: session.host.signal, runtime: session.runtime() };
  const limits = { answerMs: defaultStallTimeoutMs };
  const entries = [
    ...[...config.databases.values()].map((one) => ({
      section: "databases",
      ...one,
      open: () => openWithLimits(one, limits, o),
    })),
    ...[...config.destinations.values()].map((one) => ({
      section: "destinations",
      ...one,
      open: () => openDestination(one, o),
    })),
  ];
  for (const { section, name, options, open } of entries) {
    const before = problems.length;
    for (const { path, secret } of referencesIn(options, [section, name])) {
      // Whether it is there; the kind that opens it knows what in it is secret.
      await session.secrets.resolve(secret, { isPublic: true }).catch((error) => {
        problems.push({ key: formatPath(path), error: toBackupError(error) });
      });
    }
    if (problems.length > before) continue;
    try {
      const opened = await open();
      if ("place" in opened && opened.place !== undefined) places.set(name, opened.place);
      await opened.close();
    } catch (error) {
      session.host.signal.throwIfAborted();
      problems.push({ key: formatPath([section, name]), error: toBackupError(error) });
    }
  }
  for (const [index, identity] of config.identities.entries()) {
    await resolveIdentities(identity, session).catch((error) => {
      problems.push({ key: formatPath(["identities", index]), error: toBackupError(error) });
    });
  }
  for (const { name, encryption, destinations } of config.jobs.values()) {
    const names = destinations.map((one) => one.name);
    problems.push(
      ...samePlaces(names, places).map((error) => ({
        key: formatPath(["jobs", name, "destinations"]),
        error,
      })),
    );
    await resolveEncryption(encryption, o).catch((error) => {
      const part = encryption !== undefined && "passphrase" in encryption
        ? "passphrase"
        : "recipients";
      const key = formatPath(["jobs", name, "encryption", part]);
      problems.push({ key, error: toBackupError(error) });
    });
  }
  return problems;
}

/** Two destinations of a job that are one place are one copy, and every run of it is partial. */
function samePlaces(names: readonly string[], places: ReadonlyMap<string, string>): BackupError[] {
  return names.flatMap((name, index) => {
    const place = places.get(name);
    const same = names.slice(0, index).find((other) =>
      place !== undefined && places.get(other) === place
    );
    return same === undefined ? [] : new BackupError(
      "config/same-place",
      `Destination "${name}" is the same place as "${same}" (${place})`,
      { hint: `Both together are one copy. Give "${name}" a place of its own.` },
    );
  });
}

async function connectAll(config: Config, session: Session) {
  const jobs = [...config.jobs.values()];
  const examinations = [];
  for (const database of config.databases.values()) {
    const own = jobs.filter((job) => job.database === database);
    examinations.push(await examineDatabase(database, own, session));
  }
  for (const destination of config.destinations.values()) {
    examinations.push(await examineDestination(destination, session));
  }
  for (const { what, name, findings } of examinations) {
    const bad = findings.filter(({ status }) => status === "warning" || status === "error");
    if (bad.length === 0) session.print(`${session.paint("green", "ok")}  ${what} ${name}`);
    for (const { status, text } of bad) {
      const word = status === "error"
        ? session.paint("red", "ERROR")
        : session.paint("yellow", "warning");
      session.print(`${word}  ${what} ${name}: ${text}`);
    }
  }
  return examinations;
}
