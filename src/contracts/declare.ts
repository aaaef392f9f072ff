import type { ConnectorKind } from "./connector.ts";
import type { StorageKind } from "./storage.ts";
import type { StrategyKind } from "./strategy.ts";

/** A database as a factory declares it; its options are checked when the config is loaded. */
export class DatabaseDeclaration {
  readonly declares = "database";
  readonly kind: ConnectorKind;
  readonly options: unknown;

  constructor(kind: ConnectorKind, options: unknown) {
    this.kind = kind;
    this.options = options;
  }
}

/** A destination as a factory declares it. */
export class DestinationDeclaration {
  readonly declares = "destination";
  readonly kind: StorageKind;
  readonly options: unknown;

  constructor(kind: StorageKind, options: unknown) {
    this.kind = kind;
    this.options = options;
  }
}

/** What a config declares a database of this kind with. */
export interface ConnectorFactory<O> {
  (options: O): DatabaseDeclaration;
  /** The kind that it is of. */
  readonly connector: ConnectorKind<O>;
}

/** What a config declares a destination of this kind with. */
export interface StorageFactory<O> {
  (options: O & UploadLimitInput): DestinationDeclaration;
  /** The kind that it is of. */
  readonly storage: StorageKind<O>;
}

/** What a job names this strategy with. */
export interface StrategyFactory<N extends string, O extends object> {
  (options?: O): { readonly type: N } | { readonly type: N } & O;
  /** What it is of. */
  readonly strategy: StrategyKind<N, O>;
}

/** The factory of a kind, whatever its options are. */
export type Factory =
  | { readonly connector: ConnectorKind }
  | { readonly storage: StorageKind }
  | { readonly strategy: StrategyKind };

/** What destinations of every kind have. */
export interface UploadLimitInput {
  /** The most that uploads to it send in a second: `"20MiB/s"`. Default no limit. */
  readonly uploadLimit?: string | undefined;
}

/** Makes the factory of a kind of database, to be used in a config like the built-in ones. */
export function defineConnector<O>(kind: ConnectorKind<O>): ConnectorFactory<O> {
  return Object.assign((options: O) => new DatabaseDeclaration(kind, options), { connector: kind });
}

/** Makes the factory of a kind of destination, to be used in a config like the built-in ones. */
export function defineStorage<O>(kind: StorageKind<O>): StorageFactory<O> {
  return Object.assign(
    (options: O & UploadLimitInput) => new DestinationDeclaration(kind, options),
    { storage: kind },
  );
}

/** Makes the factory of a strategy. */
export function defineStrategy<N extends string, O extends object>(
  strategy: StrategyKind<N, O>,
): StrategyFactory<N, O> {
  const { id: type } = strategy;
  return Object.assign((options?: O) => options === undefined ? { type } : { type, ...options }, {
    strategy,
  });
}
