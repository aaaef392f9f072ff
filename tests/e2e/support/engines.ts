import { chmodSync, copyFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freshName } from "../../support/freshName.ts";
import type { Need } from "../../support/installed.ts";
import { mariadb } from "../../support/mariadb.ts";
import { mongo } from "../../support/mongo.ts";
import { mysql } from "../../support/mysql.ts";
import type { MysqlServer } from "../../support/mysqlServer.ts";
import { postgres, type PostgresVersion } from "../../support/postgres.ts";
import { tempDir } from "../../support/workspace.ts";

/** A running server, as the tests of faults and of whole rounds see it: alike for every kind. */
export interface EngineServer {
  /** The folder of its client tools. */
  readonly toolsDir: string;
  /** Its hard password. */
  readonly password: string;
  url(database: string, o?: { password?: string }): string;
  /** Makes a database with some rows that do not compress. */
  fill(database: string, rows?: number): Promise<void>;
  /** Makes a database with one row that nobody wants to lose. */
  fillPrecious(database: string): Promise<void>;
  /** Everything in the table, as one text; throws where there is none. */
  rows(database: string): Promise<string>;
  drop(database: string): Promise<void>;
  /**
   * The environment in which RESTORE.txt finds the server, as its remarks ask for; files go into
   * the home folder.
   */
  prepareShell(home: string): Record<string, string>;
}

/** A kind of server with its tools. */
export interface Engine {
  readonly name: string;
  /** The kind in a config. */
  readonly type: "postgres" | "mysql" | "mariadb" | "mongodb";
  readonly needs: readonly Need[];
  /** The name of the program that dumps. */
  readonly dumpTool: string;
  readonly restoreTool: string;
  /** What an outdated dump tool says of its version; undefined where versions do not matter. */
  readonly oldVersion?: string;
  /** True where a restore swaps by rename; false where it replaces after a check of every byte. */
  readonly swaps: boolean;
  server(): Promise<EngineServer>;
  /**
   * A server older than the one that is dumped; without one, the manifest is made to say that its
   * server was newer than any.
   */
  readonly older?: () => Promise<EngineServer>;
}

/** Every kind of server that there is. */
export const engines: readonly Engine[] = [
  postgresEngine(15, { needs: ["postgres15"] }),
  postgresEngine(18, {
    needs: ["postgres18", "postgres15"],
    oldVersion: "pg_dump (PostgreSQL) 12.3",
    older: async () => await postgresServer(15),
  }),
  {
    name: "MariaDB",
    type: "mariadb",
    needs: ["mariadb"],
    dumpTool: "mariadb-dump",
    restoreTool: "mariadb",
    oldVersion: "mariadb-dump  Ver 10.16 Distrib 10.2.44-MariaDB, for Linux (x86_64)",
    swaps: false,
    server: async () => sqlServer(await mariadb()),
  },
  {
    name: "MySQL",
    type: "mysql",
    needs: ["mysql"],
    dumpTool: "mysqldump",
    restoreTool: "mysql",
    oldVersion: "mysqldump  Ver 8.0.30 for Linux on x86_64 (MySQL Community Server - GPL)",
    swaps: false,
    server: async () => sqlServer(await mysql()),
  },
  {
    name: "MongoDB",
    type: "mongodb",
    needs: ["mongo", "mongotools"],
    dumpTool: "mongodump",
    restoreTool: "mongorestore",
    swaps: false,
    server: mongoServer,
  },
];

/** A database name of test data that nobody else uses. */
export const freshDatabase = freshName;

/**
 * A folder of client tools in which some are stand-ins: shell scripts that find the real program in
 * `$REAL` and tell its version when asked.
 */
export function withTools(toolsDir: string, scripts: Readonly<Record<string, string>>): string {
  const folder = tempDir("tools");
  for (const name of readdirSync(toolsDir)) {
    const script = scripts[name];
    const path = join(folder, name);
    if (script === undefined) {
      symlinkSync(join(toolsDir, name), path);
      continue;
    }
    writeFileSync(
      path,
      `#!/bin/bash
REAL='${join(toolsDir, name)}'
for word in "$@"; do
  case $word in --version | -V) exec "$REAL" "$@" ;; esac
done
${script}
`,
    );
    chmodSync(path, 0o755);
  }
  return folder;
}

/** A folder in which one tool says that it is of another version; the rest is real. */
export function withOldTool(toolsDir: string, name: string, version: string): string {
  const folder = withTools(toolsDir, { [name]: "exec false" });
  writeFileSync(join(folder, name), `#!/bin/sh\necho '${version}'\n`);
  return folder;
}

function postgresEngine(
  version: PostgresVersion,
  o: Pick<Engine, "needs" | "oldVersion" | "older">,
): Engine {
  return {
    name: `PostgreSQL ${version}`,
    type: "postgres",
    dumpTool: "pg_dump",
    restoreTool: "pg_restore",
    swaps: true,
    ...o,
    server: async () => await postgresServer(version),
  };
}

async function postgresServer(version: PostgresVersion): Promise<EngineServer> {
  const { binDir, password, url, psql, createDatabase, host, port, user } = await postgres(
    version,
  );
  const create = async (database: string, sql: string) => {
    await createDatabase(database.replaceAll('"', '""'));
    await psql(database, sql);
  };
  return {
    toolsDir: binDir,
    password,
    url,
    fill: (database, rows = 100) =>
      create(
        database,
        `CREATE TABLE orders (id int PRIMARY KEY, noise text);
             INSERT INTO orders SELECT n, string_agg(md5(random()::text), '')
             FROM generate_series(1, ${rows}) n, generate_series(1, 30) GROUP BY n`,
      ),
    fillPrecious: (database) =>
      create(
        database,
        "CREATE TABLE orders (id int PRIMARY KEY, noise text);" +
          "INSERT INTO orders VALUES (1, 'precious')",
      ),
    rows: (database) => psql(database, "SELECT * FROM orders ORDER BY id"),
    drop: async (database) => void await psql("postgres", `DROP DATABASE "${database}"`),
    prepareShell: () => ({
      ...{ PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password },
    }),
  };
}

function sqlServer(server: MysqlServer): EngineServer {
  const { binDir, password, url, sql, defaultsFile } = server;
  const quoted = (name: string) => `\`${name.replaceAll("`", "``")}\``;
  const create = async (database: string, statements: string) => {
    await sql(
      "",
      `CREATE DATABASE ${quoted(database)} CHARACTER SET utf8mb4; USE ${quoted(database)};
       CREATE TABLE orders (id int PRIMARY KEY, noise text); ${statements}`,
    );
  };
  return {
    toolsDir: binDir,
    password,
    url,
    fill: (database, rows = 100) => {
      const values = Array.from({ length: rows }, (_, id) => `(${id}, '${noise(1_000)}')`);
      return create(database, `INSERT INTO orders VALUES ${values.join(", ")}`);
    },
    fillPrecious: (database) => create(database, "INSERT INTO orders VALUES (1, 'precious')"),
    rows: (database) => sql("", `SELECT * FROM ${quoted(database)}.orders ORDER BY id`),
    drop: async (database) => void await sql("", `DROP DATABASE ${quoted(database)}`),
    prepareShell(home) {
      copyFileSync(defaultsFile, join(home, ".my.cnf"));
      return {};
    },
  };
}

async function mongoServer(): Promise<EngineServer> {
  const { toolsDir, password, url, client } = await mongo({ auth: true });
  const orders = async (database: string) => (await client()).db(database).collection("orders");
  return {
    toolsDir: toolsDir!,
    password: password!,
    url,
    async fill(database, rows = 100) {
      const documents = Array.from({ length: rows }, (_, id) => ({ id, noise: noise(1_000) }));
      await (await orders(database)).insertMany(documents);
    },
    async fillPrecious(database) {
      await (await orders(database)).insertOne({ id: 1, noise: "precious" });
    },
    async rows(database) {
      const documents = await (await orders(database)).find({}, { sort: { id: 1 } }).toArray();
      if (documents.length === 0) throw new Error(`no orders in ${database}`);
      return JSON.stringify(documents.map(({ id, noise }) => [id, noise]));
    },
    async drop(database) {
      await (await client()).db(database).dropDatabase();
    },
    prepareShell(home) {
      const file = join(home, "mongodb.yaml");
      writeFileSync(file, `uri: ${JSON.stringify(url())}\n`, { mode: 0o600 });
      return {};
    },
  };
}

function noise(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => (byte % 36).toString(36)).join("");
}
