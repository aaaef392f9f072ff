import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";

/** What `scripts/servers` has found or installed. */
export interface Installed {
  /** Folders of PostgreSQL's programs. */
  readonly postgres15?: string;
  readonly postgres18?: string;
  readonly mariadb?: {
    /** The server's executable. */
    readonly server: string;
    /** The folder of the clients. */
    readonly binDir: string;
    /** A fresh data directory to copy. */
    readonly template: string;
  };
  readonly mysql?: {
    /** The folder that holds `bin`, `sbin`, `lib` and `share`: the server's `--basedir`. */
    readonly root: string;
    /** A fresh data directory to copy, without the server's UUID. */
    readonly template: string;
  };
  /** The path of mongod. */
  readonly mongod?: string;
  /** What stands in for mongod: documents and indexes. */
  readonly ferretdb?: {
    /** The server's executable. */
    readonly server: string;
    /** The folder of its PostgreSQL's programs. */
    readonly binDir: string;
    /** A fresh data directory of that PostgreSQL to copy. */
    readonly template: string;
  };
  /** The path of secantusd-py, which stands in for mongod: options, roles, an oplog. */
  readonly secantusdb?: string;
  /** The folder of mongodump and mongorestore. */
  readonly mongotools?: string;
  /** The path of versitygw, an S3 gateway. */
  readonly versitygw?: string;
  /** The path of fake-gcs-server. */
  readonly fakegcs?: string;
}

/** What a test may need: servers, command-line tools, or rights. */
export type Need =
  | keyof Installed
  | "age"
  | "gzip"
  /** Any server that speaks MongoDB's protocol. */
  | "mongo"
  | "openssl"
  | "pigz"
  | "root"
  | "sqlite3"
  | "ssh-keygen"
  | "zstd";

let cached: Installed | undefined;

/** Reads what `scripts/servers` wrote; nothing is there when it has not been run. */
export function installed(): Installed {
  return cached ??= read();
}

function read(): Installed {
  const env = readEnv();
  const find = (name: string) => env.get(name);
  const [server, binDir, mariadbData] = ["SERVER", "BIN", "DATA"].map((n) => find(`MARIADB_${n}`));
  const [root, mysqlData] = ["ROOT", "DATA"].map((n) => find(`MYSQL_${n}`));
  const [ferret, documentdbBin, documentdbData] = ["FERRETDB", "DOCUMENTDB_BIN", "DOCUMENTDB_DATA"]
    .map(find);
  return {
    postgres15: find("POSTGRES_15_BIN"),
    postgres18: find("POSTGRES_18_BIN"),
    mariadb: server && binDir && mariadbData
      ? { server, binDir, template: mariadbData }
      : undefined,
    mysql: root && mysqlData ? { root, template: mysqlData } : undefined,
    mongod: process.env.DBBACKUP_TEST_MONGOD || find("MONGOD"),
    ferretdb: ferret && documentdbBin && documentdbData
      ? { server: ferret, binDir: documentdbBin, template: documentdbData }
      : undefined,
    secantusdb: find("SECANTUSDB"),
    mongotools: find("MONGO_TOOLS_BIN"),
    versitygw: find("VERSITYGW"),
    fakegcs: find("FAKE_GCS"),
  };
}

/** The cache folders in the order of `scripts/servers`; an ordinary user may use root's. */
function readEnv(): Map<string, string> {
  const { DBBACKUP_TEST_CACHE, XDG_CACHE_HOME } = process.env;
  const folders = DBBACKUP_TEST_CACHE ? [DBBACKUP_TEST_CACHE] : [
    ...process.getuid?.() === 0
      ? []
      : [path.join(XDG_CACHE_HOME || path.join(os.homedir(), ".cache"), "dbbackup-test")],
    "/var/cache/dbbackup-test",
  ];
  for (const folder of folders) {
    try {
      const lines = readFileSync(path.join(folder, "env"), "utf8").split("\n");
      return new Map(
        lines.filter((line) => line.includes("=")).map((line) => {
          const at = line.indexOf("=");
          return [line.slice(0, at), line.slice(at + 1)];
        }),
      );
    } catch {
      // Not there: look in the next.
    }
  }
  return new Map();
}

/** Whether a test that needs this can run here. */
export function available(need: Need): boolean {
  switch (need) {
    case "postgres15":
    case "postgres18":
    case "mariadb":
    case "mysql":
    case "mongod":
    case "ferretdb":
    case "secantusdb":
    case "mongotools":
    case "versitygw":
    case "fakegcs":
      return installed()[need] !== undefined;
    case "mongo":
      return ["mongod", "ferretdb", "secantusdb"].some((name) => available(name as Need));
    case "root":
      return process.getuid?.() === 0;
    case "age":
    case "gzip":
    case "openssl":
    case "pigz":
    case "sqlite3":
    case "ssh-keygen":
    case "zstd":
      return spawnSync("sh", ["-c", `command -v ${need}`]).status === 0;
  }
}

/**
 * Whether a missing server is a failure instead of a skipped test. `DBBACKUP_TEST_REQUIRE` is
 * `all`, `none` or names with commas between; unset, it is `all` with `CI=true` and else `none`.
 */
export function isRequired(need: Need): boolean {
  const required = process.env.DBBACKUP_TEST_REQUIRE ||
    (process.env.CI === "true" ? "all" : "none");
  // Rights are the machine's, not something that a script could have installed; and no registry
  // serves a mongod.
  return required === "all"
    ? need !== "root" && need !== "mongod"
    : required.split(",").includes(need);
}
