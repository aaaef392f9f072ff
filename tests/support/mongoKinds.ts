import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { available, installed } from "./installed.ts";
import { needs, type NeedsTest } from "./needs.ts";

/**
 * What a MongoDB server may be able to do, by the names that tests ask for. The stand-ins answer ok
 * to much that they ignore, so what is listed here was seen to work, not only to be accepted.
 */
export const mongoCapabilities = {
  standalone: "says that it is no member of a set",
  replicaSet: "says that it is a member of a set",
  setId: "tells the id of its set",
  oplog: "keeps an oplog that mongodump reads",
  replay: "writes an oplog that applyOps replays, and has applyOps",
  transactions: "has transactions that abort, and logs them as such",
  roles: "refuses what a user's roles do not allow",
  accounts: "keeps users and roles where mongodump finds them",
  accountsRestore: "takes users and roles from mongorestore",
  builtInRoles: "gives built-in roles every action of a real server, and lists to a user its own",
  createOptions: "keeps capped, validators, collations and views",
  timeSeries: "has time series",
  hiddenIndex: "has hidden indexes",
  textIndex: "has text indexes",
  hashedIndex: "has hashed indexes",
  indexOptions: "keeps every option of an index as it was given",
  systemJs: "has system.js",
  longNames: "takes namespaces of 255 bytes",
  caseTwins: "refuses names of databases that differ only by case",
  anyDate: "keeps dates that JavaScript does not have, and types of old",
  ttl: "removes documents whose time has passed within two minutes",
} as const;
/** See {@link mongoCapabilities}. */
export type MongoCapability = keyof typeof mongoCapabilities;

/** A kind of server that tests can start. */
export interface MongoKind {
  readonly name: string;
  readonly program: "mongod" | "ferretdb" | "secantusdb";
  readonly isReplicaSet: boolean;
  readonly can: ReadonlySet<MongoCapability>;
}

const ofMongod = [
  ...["roles", "accounts", "accountsRestore", "builtInRoles", "createOptions", "hiddenIndex"],
  ...["textIndex", "hashedIndex"],
  ...["indexOptions", "systemJs", "longNames", "caseTwins", "anyDate", "ttl"],
] as MongoCapability[];
const ofSecantusdb = [
  ...["roles", "accounts", "createOptions", "hiddenIndex", "indexOptions"],
  ...["systemJs", "longNames", "ttl"],
] as MongoCapability[];

/** Every kind, the real thing first. */
export const mongoKinds: readonly MongoKind[] = [
  {
    name: "mongod",
    program: "mongod",
    isReplicaSet: false,
    can: new Set<MongoCapability>(["standalone", ...ofMongod, ...newer()]),
  },
  {
    name: "mongod in a replica set",
    program: "mongod",
    isReplicaSet: true,
    can: new Set<MongoCapability>([
      ...["replicaSet", "setId", "oplog", "replay", "transactions"] as const,
      ...ofMongod,
      ...newer(),
    ]),
  },
  {
    name: "FerretDB",
    program: "ferretdb",
    isReplicaSet: false,
    can: new Set<MongoCapability>(["standalone", "textIndex", "hashedIndex", "caseTwins"]),
  },
  {
    name: "secantusdb in a replica set",
    program: "secantusdb",
    isReplicaSet: true,
    can: new Set<MongoCapability>(["replicaSet", "oplog", ...ofSecantusdb]),
  },
  {
    name: "secantusdb",
    program: "secantusdb",
    isReplicaSet: false,
    can: new Set<MongoCapability>(["standalone", ...ofSecantusdb]),
  },
];

/** What mongod learned after 4.4. */
function newer(): MongoCapability[] {
  const { mongod } = installed();
  if (mongod === undefined) return [];
  const { stdout } = spawnSync(mongod, ["--version"], { encoding: "utf8" });
  return Number(/db version v(\d+)/.exec(stdout)?.[1] ?? 0) >= 5 ? ["timeSeries"] : [];
}

/** The kinds that this machine has. */
export function mongoKindsAtHand(): readonly MongoKind[] {
  return mongoKinds.filter(({ program }) => available(program));
}

/** The first kind at hand that can all of this. */
export function mongoKindFor(wanted: readonly MongoCapability[]): MongoKind | undefined {
  return mongoKindsAtHand().find(({ can }) => wanted.every((one) => can.has(one)));
}

/**
 * `test` for tests that need a MongoDB server which can do these things, and its tools. Where no
 * server at hand can, the test is skipped and says in its title what is missing: such a capability
 * is proved on fixtures, see {@link onFixtures}.
 */
export function needsMongo(...wanted: readonly MongoCapability[]): NeedsTest {
  if (mongoKindsAtHand().length === 0 || mongoKindFor(wanted) !== undefined) {
    return needs("mongo", "mongotools");
  }
  const missing = wanted.filter((one) => mongoKindFor([one]) === undefined);
  const what = (missing.length > 0 ? missing : wanted).join(", ");
  const withReason = (title: string) => `${title} [no MongoDB at hand has ${what}]`;
  return Object.assign(
    (title: string) => test.skip(withReason(title), () => {}),
    { describe: (title: string) => test.skip(withReason(title), () => {}) },
  );
}

/** `test` for what recordings of a real server, or archives made by hand, prove without a server. */
export function onFixtures(
  capability: MongoCapability,
): (title: string, run: () => void | Promise<unknown>) => void {
  return (title, run) => void test(`${title} [${capability}]`, async () => void await run());
}
