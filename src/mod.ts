/**
 * What a config, or a plugin beside it, imports from "dbbackup".
 *
 * @module
 */
import { defineConnector, defineStorage } from "./config/declare.ts";
import { mongodb as mongodbKind } from "./connectors/mongodb/mod.ts";
import { mariadb as mariadbKind, mysql as mysqlKind } from "./connectors/mysql/mod.ts";
import { postgres as postgresKind } from "./connectors/postgres/mod.ts";
import { sqlite as sqliteKind } from "./connectors/sqlite/mod.ts";
import { azure as azureKind } from "./storage/azure/mod.ts";
import { gcs as gcsKind } from "./storage/gcs/mod.ts";
import { local as localKind } from "./storage/local/mod.ts";
import { s3 as s3Kind } from "./storage/s3/mod.ts";

export {
  defineConfig,
  defineConnector,
  defineStorage,
  differential,
  incremental,
} from "./config/declare.ts";
export type {
  ChainInput,
  CompressionInput,
  ConfigInput,
  DatabaseDeclaration,
  DestinationDeclaration,
  EncryptionInput,
  JobInput,
  JobSettingsInput,
  LogInput,
  RetentionInput,
  RetentionRulesInput,
  StrategyInput,
  UploadLimitInput,
} from "./config/declare.ts";

/** A PostgreSQL server, or some of its databases. */
export const postgres = defineConnector(postgresKind);
/** A MySQL server, or some of its databases. */
export const mysql = defineConnector(mysqlKind);
/** A MariaDB server, or some of its databases. */
export const mariadb = defineConnector(mariadbKind);
/** A MongoDB server or replica set, or one of its databases. */
export const mongodb = defineConnector(mongodbKind);
/** A SQLite file. */
export const sqlite = defineConnector(sqliteKind);
/** A folder of this machine, or one that is mounted. */
export const local = defineStorage(localKind);
/** A bucket of Amazon S3, or of what speaks its language. */
export const s3 = defineStorage(s3Kind);
/** A Google Cloud Storage bucket. */
export const gcs = defineStorage(gcsKind);
/** An Azure Blob Storage container. */
export const azure = defineStorage(azureKind);

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
export type * from "./contracts/format.ts";
export type * from "./contracts/inventory.ts";
export { stepByStep } from "./contracts/recipe.ts";
export type * from "./contracts/recipe.ts";
export type { Artifact, Kind, Manifest, Omission, Position, Volume } from "./contracts/manifest.ts";
export type { ObjectInfo, Storage, StorageKind } from "./contracts/storage.ts";
/** For the options of plugins; the program's own zod, so that a plugin needs no package. */
export { z } from "zod";
