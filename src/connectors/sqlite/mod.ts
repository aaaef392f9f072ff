import type { ConnectorKind } from "../../contracts/connector.ts";
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
import { withSource } from "./source.ts";
import { planRestore } from "./target.ts";
import { sqliteFormat } from "./walker.ts";
import { basename } from "node:path";

export type { SqliteOptions } from "./options.ts";

/** SQLite: one file, through SQLite's own library; no tool is needed. */
export const sqlite: ConnectorKind<SqliteOptions> = {
  kind: "sqlite",
  title: "SQLite",
  schemes: ["sqlite"],
  options: sqliteOptions,
  paths: ["path"],
  settings: [],
  omissions: [],
  formats: [sqliteFormat],
  fromUrl,
  async open(options, { runtime }) {
    const path = absolutePath(await runtime.secrets.resolve(options.path, { isPublic: true }));
    const busyTimeoutMs = options.busyTimeoutMs ?? defaultBusyTimeoutMs;
    return {
      location: `sqlite:${path}`,
      inspect: ({ signal }) => inspect(path, { signal, busyTimeoutMs }),
      databases: ({ signal }) =>
        withSource(path, { signal, busyTimeoutMs }, async (source) => [basename(source.path)]),
      dump: (plan, emit, { signal }) => dump(path, plan, emit, { signal, busyTimeoutMs, runtime }),
      planRestore: (chain, restoreOptions, { signal }) =>
        planRestore(path, chain, restoreOptions, { signal, busyTimeoutMs }),
      restore: (chain, plan, restoreOptions, { signal }) =>
        restore(chain, plan, restoreOptions, { signal, busyTimeoutMs }),
      // A file is one database, whatever it is called.
      inventory: (name, { signal }) =>
        withSource(
          path,
          { signal, busyTimeoutMs },
          (source) => readInventory(name, source.database),
        ),
      close: () => Promise.resolve(),
    };
  },
  declaredSource,
  recipe,
  // A reference is not resolved here, so its file's name is not known.
  jobName: ({ path }) => typeof path === "string" ? plainName(path) : "sqlite",
};
