import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../../support/needs.ts";
import { copied } from "./copies.ts";
import { flavours } from "./flavours.ts";
import { contentOf } from "./sample.ts";

for (const flavour of flavours) {
  needs(flavour.name).describe(`values of ${flavour.kind.title}`, () => {
    test("come back whatever mode they were let in by", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      await server.sql(
        database,
        `SET sql_mode = 'ALLOW_INVALID_DATES';
         CREATE TABLE dates (id INT PRIMARY KEY, d DATE DEFAULT '2024-02-31', t DATETIME(3));
         INSERT INTO dates VALUES (1, '2023-02-31', '2023-06-31 10:00:00.125'),
           (2, '0000-00-00', '0000-00-00'), (3, '2023-00-00', '2023-04-00 00:00:00');
         SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
         CREATE TABLE zero (id INT PRIMARY KEY AUTO_INCREMENT); INSERT INTO zero VALUES (0), (3);
         SET sql_mode = '';
         CREATE TABLE loose (e ENUM('', 'a'), s TINYINT, c CHAR(3), b BINARY(3), bi BIT(64), y YEAR,
           z TIMESTAMP NOT NULL DEFAULT '0000-00-00 00:00:00');
         INSERT INTO loose VALUES ('bogus', 1000, 'a  b', 'a', b'101', 0, '0000-00-00 00:00:00'),
           ('', -1000, '  ', 0x00, 18446744073709551615, 2155, '2038-01-19 03:14:07');
         SET time_zone = '+00:00';
         CREATE TABLE hours (t TIMESTAMP(6) NULL);
         INSERT INTO hours VALUES ('2026-10-25 00:30:00'), ('2026-10-25 01:30:00.000001');
         CREATE TABLE old (g VARCHAR(9) CHARACTER SET gbk, s VARCHAR(9) CHARACTER SET sjis,
           l VARCHAR(9) CHARACTER SET latin1, u VARCHAR(9) CHARACTER SET utf8mb3);
         INSERT INTO old VALUES (_gbk 0xBF5C, _sjis 0x835C, _latin1 0x80, '日'),
           (_gbk 0x815C27, _sjis 0x8C5C27, '\\\\''', '''');
         CREATE TABLE exact (d DOUBLE, n DECIMAL(65, 30));
         INSERT INTO exact VALUES (0.1, 0.000000000000000000000000000001), (5e-324, -1),
           (1.7976931348623157e308, 99999999999999999999999999999999999);
         CREATE TABLE signs (id INT, d DOUBLE, f FLOAT, t VARCHAR(9), n INT, m DOUBLE(9, 2));
         INSERT INTO signs VALUES (1, -0e0, -0e0, '-0', -0, -0e0), (2, -0.5, 0, '(-0,', 0, 0),
           (3, 0, -0e0, ',-0)', -1, NULL);`,
      );
      const { copy, info, result } = await copied(flavour, server, database);
      assert.deepEqual(info.omissions, []);
      assert.deepEqual(result.differences, []);
      assert.deepEqual(await contentOf(server, copy), await contentOf(server, database));
      assert.match(await server.sql(copy, "SELECT * FROM dates"), /^1\t2023-02-31\t2023-06-31 10/);
      assert.equal(await server.sql(copy, "SELECT SUM(d) FROM exact"), "1.7976931348623157e308");
    });

    test("of FLOAT come back with every digit", async () => {
      const server = await flavour.server();
      const database = await server.createDatabase();
      const hidden = flavour.name === "mysql"
        ? "CREATE TABLE hidden (id INT, h FLOAT INVISIBLE, f FLOAT, KEY ((f + 1)));"
        : "CREATE TABLE hidden (id INT, h FLOAT INVISIBLE, f FLOAT);";
      await server.sql(
        database,
        `CREATE TABLE fine (f FLOAT, d DOUBLE, n FLOAT(10, 2), z FLOAT UNSIGNED ZEROFILL);
         INSERT INTO fine VALUES (0.1, 1e300, 16777215.25, 1.5), (123456, 0.1, 0, 7), (1e-45, 0, 1, 0),
           (-2.5e-41, 0, 0, 0), (1e20, 0, 0, 0), (NULL, NULL, NULL, NULL), (0, 0, 0, 0),
           (16777215, 0, 0, 0), (-0.3333333, 0, 0, 0.1234567), (3.402823466e38, 0, 0, 0), (-0e0, 0, 0, 0),
           (1.17549435e-38, 0, 0, 8388609);
         CREATE TABLE \`lo\`\`ssy ü\` (id INT, \`f \`\`x\` FLOAT, g FLOAT AS (\`f \`\`x\` * 2) STORED,
           t TEXT, b BLOB, UNIQUE (\`f \`\`x\`));
         INSERT INTO \`lo\`\`ssy ü\` (id, \`f \`\`x\`, t, b) VALUES (1, 16777213, 'it''s', 0x00ff),
           (2, 16777215, '\\\\', ''), (3, 16777214, NULL, NULL);
         CREATE TABLE keyed (f FLOAT PRIMARY KEY, g FLOAT); INSERT INTO keyed VALUES (0.1234567, 1),
           (0.12345671, 2), (0.12345672, 3);
         ${hidden} INSERT INTO hidden (id, h, f) VALUES (1, 9999999, 0.7654321);
         CREATE TABLE many (f FLOAT); INSERT INTO many SELECT RAND(1) FROM information_schema.COLUMNS;
         CREATE VIEW v AS SELECT f FROM fine;`,
      );
      const exact = async (name: string) =>
        await server.sql(
          name,
          "SELECT f * 1e0, n, z * 1e0 FROM fine; SELECT * FROM `lo``ssy ü` ORDER BY id; " +
            "SELECT `f ``x` * 1e0 FROM `lo``ssy ü` ORDER BY id; SELECT f * 1e0, g FROM keyed; SELECT f * 1e0, h * 1e0 FROM hidden; " +
            "SELECT COUNT(*), SUM(f * 1e0), MIN(f * 1e0) FROM many",
        );
      const settings = [{}, { dumpArgs: ["--complete-insert"] }, {
        dumpArgs: ["--order-by-primary", "--skip-extended-insert"],
      }];
      for (const one of settings) {
        const { copy, info, backup, result } = await copied(flavour, server, database, {
          settings: one,
        });
        assert.deepEqual([...info.omissions, ...backup.result.omitted], []);
        assert.deepEqual(result.differences, []);
        assert.deepEqual(await contentOf(server, copy), await contentOf(server, database));
        assert.equal(await exact(copy), await exact(database));
        const sql = new TextDecoder().decode(backup.artifacts[0]!.bytes);
        assert.match(sql, /\(0\.1,/);
        assert.doesNotMatch(sql, /0\.10000000149/);
      }
    });
  });
}
