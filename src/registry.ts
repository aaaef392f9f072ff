import type { ConnectorKind } from "./contracts/connector.ts";
import type { Factory } from "./contracts/declare.ts";
import type { StorageKind } from "./contracts/storage.ts";
import type { StrategyKind } from "./contracts/strategy.ts";
import factories from "./kinds.ts";
import type * as builtIn from "./kinds.ts";

/** Kinds of databases and destinations, and strategies. */
export interface Kinds {
  readonly connectors: readonly ConnectorKind[];
  readonly storages: readonly StorageKind[];
  readonly strategies: readonly StrategyKind[];
}

/** The kinds of these factories. */
export function kindsMadeBy(factories: readonly Factory[]): Kinds {
  return {
    connectors: factories.flatMap((one) => "connector" in one ? [one.connector] : []),
    storages: factories.flatMap((one) => "storage" in one ? [one.storage] : []),
    strategies: factories.flatMap((one) => "strategy" in one ? [one.strategy] : []),
  };
}

/** Every built-in kind. */
export const builtInKinds: Kinds = kindsMadeBy(factories);
/** Every built-in kind of database. */
export const connectorKinds: readonly ConnectorKind[] = builtInKinds.connectors;
/** Every built-in kind of destination. */
export const storageKinds: readonly StorageKind[] = builtInKinds.storages;

/** Every strategy. */
export const strategyKinds: readonly StrategyKind[] = builtInKinds.strategies;

/** What a job may write of its strategy. */
export type StrategyWritten = {
  [K in keyof typeof builtIn]: (typeof builtIn)[K] extends
    { readonly strategy: StrategyKind<infer N, infer O> } ? N | ({ type: N } & O) : never;
}[keyof typeof builtIn];

/** What both kinds of kinds have in common. */
interface Kind {
  readonly kind: string;
  readonly schemes: readonly string[];
}

/** What the help says of the URLs of databases: `postgres://, sqlite:PATH`. */
export function databaseUrls(kinds: readonly ConnectorKind[] = connectorKinds): string {
  return kinds.flatMap(({ urls, schemes }) => urls ?? schemes.map((one) => `${one}://`)).join(", ");
}

/** What the help says of the URLs of destinations: `file:, s3: or az:`. */
export function destinationUrls(kinds: readonly StorageKind[] = storageKinds): string {
  const urls = kinds.flatMap(({ urls, schemes }) => urls ?? schemes.map((one) => `${one}:`));
  return urls.join(", ").replace(/, ([^,]*)$/, " or $1");
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
