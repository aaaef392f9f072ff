import { createConnection, type RowDataPacket } from "mysql2/promise";
import type { MysqlServer } from "../../support/mysqlServer.ts";

/** A state of the database, and how to name it. */
export interface Moment {
  readonly state: string;
  /** By the server's clock; it is after the change before it and before the one behind it. */
  readonly at: Date;
  /** `binlog.000007:154`, right behind the change. */
  readonly position: string;
  /** The transactions so far. */
  readonly gtid: string;
}

/** Makes numbered changes of all sorts, one after the other. */
export interface Writer {
  /** Makes one. */
  change(): Promise<void>;
  /** The state now, when nothing is written: tables, rows, programs. */
  moment(): Promise<Moment>;
  close(): Promise<void>;
}

/** Starts a writer in a new database. */
export async function startWriter(server: MysqlServer, database: string): Promise<Writer> {
  const connection = await createConnection({
    socketPath: server.socket,
    user: "root",
    password: server.password,
    database,
    multipleStatements: false,
    dateStrings: true,
  });
  const run = async (...statements: readonly string[]) => {
    for (const sql of statements) await connection.query(sql);
  };
  await run(
    "CREATE TABLE parents (id INT PRIMARY KEY, v VARCHAR(200), d DATETIME(6), f DOUBLE, b BLOB)",
    "CREATE TABLE children (id INT PRIMARY KEY, parent INT, v TEXT, " +
      "FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))",
    "CREATE TRIGGER noted AFTER INSERT ON parents FOR EACH ROW " +
      "INSERT INTO audit (what) VALUES (CONCAT('made ', NEW.id))",
    "CREATE TABLE `häß; -- lich` (`a``b` INT PRIMARY KEY, c CHAR(3) CHARACTER SET latin1)",
  );
  let n = 0;

  const changes: readonly (() => Promise<void>)[] = [
    () =>
      run(
        `INSERT INTO parents (id, v, d, f, b) VALUES (${n}, 'it''s \\\\ ${n} ü', NOW(6), RAND(), 0x00ff0a0d)`,
      ),
    () =>
      run(
        "START TRANSACTION",
        `INSERT INTO parents (id, v, d, f, b) VALUES (${n}, UUID(), NOW(6), ${n}.5, NULL)`,
        `INSERT INTO children VALUES (${n}, ${n}, REPEAT('x', ${
          n % 7
        } * 1000)), (-${n}, ${n}, 'y')`,
        "SAVEPOINT here",
        `UPDATE parents SET v = 'lost' WHERE id < ${n}`,
        "ROLLBACK TO here",
        "COMMIT",
      ),
    () => run("START TRANSACTION", "DELETE FROM children", "ROLLBACK"),
    () => run(`UPDATE parents SET v = CONCAT(v, '!'), d = NOW(6) ORDER BY id DESC LIMIT 3`),
    () => run(`DELETE FROM parents ORDER BY id LIMIT 1`),
    () => run(`UPDATE parents SET id = id + 100000 ORDER BY id DESC LIMIT 1`),
    () => run(`CREATE TABLE t${n} (n INT PRIMARY KEY AUTO_INCREMENT, v JSON)`),
    () => run(`CREATE TABLE c${n} AS SELECT id, v FROM parents LIMIT 4`),
    () => run(`ALTER TABLE parents ADD COLUMN c${n} INT NOT NULL DEFAULT ${n} COMMENT 'a; b'`),
    () => run(`REPLACE INTO \`häß; -- lich\` VALUES (${n % 5}, 'é'), (${n % 3}, NULL)`),
    () =>
      run(
        `CREATE PROCEDURE p${n}() BEGIN INSERT INTO audit (what) VALUES ('called; ${n}'); END`,
        `CALL p${n}()`,
      ),
    () => run(`CREATE OR REPLACE VIEW seen AS SELECT id, ${n} AS n FROM parents`),
    () => run("TRUNCATE TABLE audit"),
    () =>
      run(
        `CREATE EVENT e${n} ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01' DO INSERT INTO audit (what) VALUES ('ran')`,
      ),
    () => run(`DROP EVENT IF EXISTS e${n - 14}`, `CREATE TABLE gone (n INT)`, "DROP TABLE gone"),
    () =>
      run(
        "CREATE TABLE a (n INT)",
        "RENAME TABLE a TO b",
        "INSERT INTO b VALUES (1)",
        "DROP TABLE b",
      ),
    () => run("FLUSH BINARY LOGS"),
  ];

  return {
    async change() {
      n++;
      // Every one comes at least once, and then in an order that looks random.
      const at = n <= changes.length ? n - 1 : (n * 7919) % changes.length;
      await changes[at]!();
    },
    async moment() {
      const state = await stateOf(server, database);
      const isMysql = server.flavour === "mysql";
      const [[stands]] = await connection.query<RowDataPacket[]>(
        isMysql ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS",
      );
      const [[about]] = await connection.query<RowDataPacket[]>(
        `SELECT CAST(UTC_TIMESTAMP(3) AS CHAR) AS at, ` +
          `${isMysql ? "@@GLOBAL.gtid_executed" : "@@GLOBAL.gtid_binlog_pos"} AS gtid`,
      );
      const atMs = Date.parse(`${String(about!["at"]).replace(" ", "T")}Z`);
      return {
        state,
        // The clock is cut to milliseconds, so the change may be in the middle of this one.
        at: new Date(isMysql ? atMs + 1 : Math.ceil((atMs + 1) / 1000) * 1000),
        position: `${stands!["File"]}:${stands!["Position"]}`,
        gtid: String(about!["gtid"]).replaceAll(/\s+/g, ""),
      };
    },
    close: () => connection.end(),
  };
}

/** All of a database as text: what there is, and all rows. */
export async function stateOf(server: MysqlServer, database: string): Promise<string> {
  const connection = await createConnection({
    socketPath: server.socket,
    user: "root",
    password: server.password,
    database,
    dateStrings: true,
  });
  const quoted = (name: string) => `\`${name.replaceAll("`", "``")}\``;
  const rows = async (sql: string) => {
    const [found] = await connection.query<RowDataPacket[]>({ sql, rowsAsArray: true });
    return JSON.stringify(found).replaceAll(`\`${database}\`.`, "");
  };
  const named = async (column: string, table: string, schema: string) => {
    const [found] = await connection.query<RowDataPacket[]>(
      `SELECT ${column} AS name FROM information_schema.${table} WHERE ${schema} = DATABASE()
       ORDER BY HEX(${column})`,
    );
    return found.map((row) => String(row["name"]));
  };
  try {
    const parts: string[] = [];
    for (const table of await named("TABLE_NAME", "TABLES", "TABLE_SCHEMA")) {
      const made = await rows(`SHOW CREATE TABLE ${quoted(table)}`);
      parts.push(made);
      if (/CREATE .*VIEW/.test(made)) continue;
      parts.push(await rows(`SELECT * FROM ${quoted(table)} ORDER BY 1`));
    }
    for (const [type, column, table, schema] of programs) {
      for (const name of await named(column, table, schema)) {
        const made = await rows(`SHOW CREATE ${type} ${quoted(name)}`);
        // When a trigger was made.
        parts.push(made.replaceAll(/,"[\d-]+ [\d:.]+"/g, ""));
      }
    }
    parts.push(
      await rows(
        `SELECT EVENT_NAME, DEFINER, STATUS, SQL_MODE, TIME_ZONE, CHARACTER_SET_CLIENT,
           COLLATION_CONNECTION, ON_COMPLETION, INTERVAL_VALUE FROM information_schema.EVENTS
         WHERE EVENT_SCHEMA = DATABASE() ORDER BY 1`,
      ),
    );
    return parts.join("\n");
  } finally {
    await connection.end();
  }
}

const programs = [
  ["PROCEDURE", "ROUTINE_NAME", "ROUTINES", "ROUTINE_SCHEMA"],
  ["TRIGGER", "TRIGGER_NAME", "TRIGGERS", "TRIGGER_SCHEMA"],
  ["EVENT", "EVENT_NAME", "EVENTS", "EVENT_SCHEMA"],
] as const;
