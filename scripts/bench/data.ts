import { startMariadb } from "../../tests/support/mariadb.ts";
import type { MysqlServer } from "../../tests/support/mysqlServer.ts";
import { type PostgresServer, startPostgres } from "../../tests/support/postgres.ts";

// Made in slices, because no statement of the test servers' helpers may take a minute.
const sliceRows = 200_000;

/**
 * A PostgreSQL server with the database `bench`: numbers, text, times, jsonb and bytea, `gigabytes`
 * of dump.
 */
export async function postgresData(gigabytes: number): Promise<PostgresServer> {
  const server = await startPostgres(15, {
    settings: { shared_buffers: "256MB", max_wal_size: "4GB" },
  });
  await server.psql("postgres", "CREATE DATABASE bench");
  await server.psql(
    "bench",
    `CREATE TABLE orders (id bigint, token text, placed_at timestamptz, amount numeric,
       customer text, note text, line jsonb);
     CREATE TABLE files (id bigint, content bytea);`,
  );
  for (const [first, last] of slices(gigabytes * 2_900_000)) {
    await server.psql(
      "bench",
      `INSERT INTO orders
         SELECT g, md5(g::text), now() - g * interval '1 minute', (g * 7919 % 100000) / 100.0,
                'customer ' || g % 50000,
                repeat(md5((g % 1000)::text) || ' ordered item ' || g % 977 || ', ', 3),
                jsonb_build_object('sku', g % 3571, 'qty', g % 9, 'ref', md5((g * 3)::text))
           FROM generate_series(${first}::bigint, ${last}) g;
       INSERT INTO files
         SELECT g, decode(string_agg(md5((g * i)::text), ''), 'hex')
           FROM generate_series(${first}::bigint, ${last}, 20) g, generate_series(1, 16) i
          GROUP BY g;`,
    );
  }
  await server.psql("bench", "ALTER TABLE orders ADD PRIMARY KEY (id)");
  return server;
}

/** A MariaDB server with the database `bench`, the same way. */
export async function mariadbData(gigabytes: number): Promise<MysqlServer> {
  const server = await startMariadb({ settings: { "innodb-buffer-pool-size": "512M" } });
  await server.sql(
    "",
    `CREATE DATABASE bench; USE bench;
     CREATE TABLE orders (id INT PRIMARY KEY, token CHAR(32), placed_at DATETIME, amount DECIMAL(9,2),
       customer VARCHAR(40), note TEXT, line TEXT) ENGINE=InnoDB;
     CREATE TABLE files (id INT PRIMARY KEY, content BLOB) ENGINE=InnoDB;`,
  );
  for (const [first, last] of slices(gigabytes * 2_900_000)) {
    await server.sql(
      "bench",
      `INSERT INTO orders SELECT seq, MD5(seq), NOW() - INTERVAL seq MINUTE,
         (seq * 7919 % 100000) / 100, CONCAT('customer ', seq % 50000),
         REPEAT(CONCAT(MD5(seq % 1000), ' ordered item ', seq % 977, ', '), 3),
         JSON_OBJECT('sku', seq % 3571, 'qty', seq % 9, 'ref', MD5(seq * 3))
         FROM seq_${first}_to_${last};
       INSERT INTO files SELECT seq, UNHEX(CONCAT(${
        Array.from({ length: 16 }, (_, i) => `MD5(seq * ${i + 1})`).join(", ")
      })) FROM seq_${first}_to_${last}_step_20;`,
    );
  }
  return server;
}

function* slices(rows: number): Generator<[first: number, last: number]> {
  for (let first = 1; first <= rows; first += sliceRows) {
    yield [first, Math.min(first + sliceRows - 1, Math.round(rows))];
  }
}
