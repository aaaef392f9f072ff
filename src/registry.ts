import { mongodb } from "./connectors/mongodb/mod.ts";
import { mariadb, mysql } from "./connectors/mysql/mod.ts";
import { postgres } from "./connectors/postgres/mod.ts";
import { sqlite } from "./connectors/sqlite/mod.ts";
import type { ConnectorKind } from "./contracts/connector.ts";
import type { StorageKind } from "./contracts/storage.ts";
import type { Strategy } from "./contracts/strategy.ts";
import { azure } from "./storage/azure/mod.ts";
import { gcs } from "./storage/gcs/mod.ts";
import { local } from "./storage/local/mod.ts";
import { s3 } from "./storage/s3/mod.ts";
import type { ChainOptions } from "./strategies/chain.ts";
import { differential } from "./strategies/differential.ts";
import { full } from "./strategies/full.ts";
import { incremental } from "./strategies/incremental.ts";

/** Every built-in kind of database, in the order in which users read of them. */
export const connectorKinds: readonly ConnectorKind[] = [
  postgres,
  mysql,
  mariadb,
  mongodb,
  sqlite,
];

/** Every built-in kind of destination. */
export const storageKinds: readonly StorageKind[] = [
  local,
  s3,
  gcs,
  azure,
];

/** Every strategy, by the name that a job gives it. */
export const strategies = {
  full: () => full,
  incremental,
  differential,
} as const satisfies Readonly<Record<string, (options: ChainOptions) => Strategy>>;

/** The name of a strategy. */
export type StrategyName = keyof typeof strategies;

/** The names of all strategies. */
export const strategyNames: readonly StrategyName[] = ["full", "incremental", "differential"];

/** What both kinds of kinds have in common. */
interface Kind {
  readonly kind: string;
  readonly schemes: readonly string[];
}

/** The kind of this name, or undefined. Plugins' kinds are put into `kinds` by the caller. */
export function kindNamed<K extends Kind>(name: string, kinds: readonly K[]): K | undefined {
  return kinds.find(({ kind }) => kind === name);
}

/** The kind that a URL's scheme stands for, or undefined. */
export function kindOfUrl<K extends Kind>(url: string, kinds: readonly K[]): K | undefined {
  const scheme = schemeOf(url);
  return scheme === undefined ? undefined : kinds.find(({ schemes }) => schemes.includes(scheme));
}

/**
 * The scheme of a URL in lower case, or undefined for what is a path: `C:\backups` and `./a:b` have
 * none.
 */
export function schemeOf(url: string): string | undefined {
  return /^([a-z][a-z0-9+.-]+):/i.exec(url)?.[1]?.toLowerCase();
}

/** Built-in kinds and those of plugins, each once; a plugin wins over a built-in of its name. */
export function withPlugins<K extends Kind>(builtIn: readonly K[], plugins: Iterable<K>): K[] {
  const byName = new Map(builtIn.map((kind) => [kind.kind, kind]));
  for (const kind of plugins) byName.set(kind.kind, kind);
  return [...byName.values()];
}
