/**
 * What a config, or a plugin beside it, imports from "dbbackup".
 *
 * @module
 */
export { defineConfig } from "./config/declare.ts";
export type {
  ChainInput,
  CompressionInput,
  ConfigInput,
  EncryptionInput,
  JobInput,
  JobSettingsInput,
  LogInput,
  RetentionInput,
  RetentionRulesInput,
  StrategyInput,
} from "./config/declare.ts";

export * from "./kinds.ts";
export { defineConnector, defineStorage } from "./contracts/declare.ts";
export type {
  DatabaseDeclaration,
  DestinationDeclaration,
  UploadLimitInput,
} from "./contracts/declare.ts";
export { command, env, file, Secret } from "./core/secret.ts";
export type { SecretPart, Secrets, Text } from "./core/secret.ts";
export { BackupError } from "./core/errors.ts";
export type { BackupErrorOptions, ErrorArea, ErrorCode } from "./core/errors.ts";
export type { Abortable, ByteRange, Bytes } from "./core/bytes.ts";
export type { Patience } from "./core/retry.ts";
export type { Environment, Runtime } from "./core/runtime.ts";
export type { Machine } from "./core/machine.ts";
export type * from "./contracts/changes.ts";
export type * from "./contracts/connector.ts";
export type * from "./contracts/dump.ts";
export type * from "./contracts/format.ts";
export type * from "./contracts/inventory.ts";
export type * from "./contracts/restore.ts";
export type * from "./contracts/source.ts";
export { stepByStep } from "./contracts/recipe.ts";
export type * from "./contracts/recipe.ts";
export type { Artifact, Kind, Manifest, Omission, Position, Volume } from "./contracts/manifest.ts";
export type { ObjectInfo, Storage, StorageKind } from "./contracts/storage.ts";
/** For the options of plugins; the program's own zod, so that a plugin needs no package. */
export { z } from "zod";
