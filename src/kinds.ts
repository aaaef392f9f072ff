/**
 * Every built-in kind of database, of destination and of strategy, a line each, in the order in which users read of
 * them. What stands here is what a config imports from "dbbackup", and what YAML, URLs, help,
 * `config init`, JSON Schema and type file know.
 *
 * @module
 */
import { mongodb as mongodbKind } from "./connectors/mongodb/mod.ts";
import { mariadb as mariadbKind, mysql as mysqlKind } from "./connectors/mysql/mod.ts";
import { postgres as postgresKind } from "./connectors/postgres/mod.ts";
import { sqlite as sqliteKind } from "./connectors/sqlite/mod.ts";
import {
  defineConnector,
  defineStorage,
  defineStrategy,
  type Factory,
} from "./contracts/declare.ts";
import { azure as azureKind } from "./storage/azure/mod.ts";
import { gcs as gcsKind } from "./storage/gcs/mod.ts";
import { local as localKind } from "./storage/local/mod.ts";
import { s3 as s3Kind } from "./storage/s3/mod.ts";
import { differentialKind } from "./strategies/differential.ts";
import { fullKind } from "./strategies/full.ts";
import { incrementalKind } from "./strategies/incremental.ts";

const factories: Factory[] = [];
/** All of them, for the registry. */
export default factories;

export const postgres = listed(defineConnector(postgresKind));
export const mysql = listed(defineConnector(mysqlKind));
export const mariadb = listed(defineConnector(mariadbKind));
export const mongodb = listed(defineConnector(mongodbKind));
export const sqlite = listed(defineConnector(sqliteKind));

export const local = listed(defineStorage(localKind));
export const s3 = listed(defineStorage(s3Kind));
export const gcs = listed(defineStorage(gcsKind));
export const azure = listed(defineStorage(azureKind));

export const full = listed(defineStrategy(fullKind));
export const incremental = listed(defineStrategy(incrementalKind));
export const differential = listed(defineStrategy(differentialKind));

function listed<F extends Factory>(factory: F): F {
  factories.push(factory);
  return factory;
}
