import { defaultAnswerTimeoutMs } from "../../core/alive.ts";
import type { Abortable } from "../../core/bytes.ts";
import type { ConnectorKind } from "../../contracts/connector.ts";
import { kinds } from "../../contracts/manifest.ts";
import { digestsFormat, digestsRole } from "./changes/digests.ts";
import { runsFormat } from "./changes/runs.ts";
import { diskOf } from "./disk.ts";
import { dump } from "./dump.ts";
import { inspect } from "./inspect.ts";
import { readInventory } from "./inventory.ts";
import {
  absolutePath,
  defaultBusyTimeoutMs,
  fromUrl,
  plainName,
  type SqliteOptions,
  sqliteOptions,
} from "./options.ts";
import { recipe } from "./recipe.ts";
import { declaredSource } from "./declared-source.ts";
import { restore } from "./restore.ts";
import { scratch } from "./scratch.ts";
import { type SourceOptions, withSource } from "./source.ts";
import { planRestore } from "./target.ts";
import { sqliteFormat } from "./walker.ts";
import { basename } from "node:path";

export type { SqliteOptions } from "./options.ts";

/** SQLite: one file, through SQLite's own library; no tool is needed. */
export const sqlite: ConnectorKind<SqliteOptions> = {
  kind: "sqlite",
  title: "SQLite",
  schemes: ["sqlite"],
  description: "A SQLite file.",
  urls: ["sqlite:PATH"],
  examples: [{ name: "app", options: { path: "./data/app.db" } }],
  options: sqliteOptions,
  paths: ["path"],
  settings: [],
  omissions: [],
  formats: [sqliteFormat, runsFormat, digestsFormat],
  roles: ["dump", "log", digestsRole],
  kinds,
  fromUrl,
  async open(options, { runtime }) {
    const path = absolutePath(await runtime.secrets.resolve(options.path, { isPublic: true }));
    const busyTimeoutMs = options.busyTimeoutMs ?? defaultBusyTimeoutMs;
    const disk = diskOf(path, options.answerTimeoutMs ?? defaultAnswerTimeoutMs);
    const using = <T>(o: Abortable, use: (o: SourceOptions) => Promise<T>) =>
      disk.watch(o, (signal) => use({ signal, busyTimeoutMs }));
    return {
      location: `sqlite:${path}`,
      inspect: ({ since, ...o }) => using(o, (o) => inspect(path, { ...o, since })),
      databases: (o) =>
        using(o, (o) => withSource(path, o, async (source) => [basename(source.path)])),
      dump: (plan, emit, o) => using(o, (o) => dump(path, plan, emit, { ...o, runtime })),
      planRestore: (chain, restoreOptions, o) =>
        using(o, (o) => planRestore(path, chain, restoreOptions, o)),
      restore: (chain, plan, restoreOptions, o) =>
        using(o, (o) => restore(chain, plan, restoreOptions, o)),
      // A file is one database, whatever it is called.
      inventory: (name, o) =>
        using(o, (o) => withSource(path, o, (source) => readInventory(name, source.database))),
      close() {
        disk.close();
        return Promise.resolve();
      },
    };
  },
  declaredSource,
  scratch,
  recipe,
  // A reference is not resolved here, so its file's name is not known.
  jobName: ({ path }) => typeof path === "string" ? plainName(path) : "sqlite",
};
