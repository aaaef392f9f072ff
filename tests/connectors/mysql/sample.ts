import type { MysqlServer } from "../../support/mysqlServer.ts";

/** Every byte there is, as SQL. */
const everyByte = `0x${
  Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0")).join("")
}`;

/** Texts that a careless reader of SQL stumbles over, as SQL. */
const texts = [
  `'it''s "quoted" \`here\`'`,
  String.raw`'back\\slash \\\\'' and \\'`,
  `'),(1,2);'`,
  `'-- no comment'`,
  `'# neither'`,
  `'/* nor */ /*!50000 this */'`,
  `'DELIMITER ;;\n;;'`,
  `'line\r\nbreaks\n\ttab'`,
  `CHAR(0, 26, 10, 13, 8 USING utf8mb4)`,
  `'Grüße, 日本語, 😀'`,
  `''`,
  `NULL`,
];

const rows = texts.map((text, index) => `(${index + 1}, ${text})`).join(",\n");

/** What both flavours have. */
const common = `
CREATE TABLE texts (id INT PRIMARY KEY, t TEXT) CHARACTER SET utf8mb4;
INSERT INTO texts VALUES ${rows};

CREATE TABLE numbers (
  tiny TINYINT, big BIGINT UNSIGNED, exact DECIMAL(40, 20), approx DOUBLE, small FLOAT, b BIT(9)
);
INSERT INTO numbers VALUES
  (-128, 18446744073709551615, -12345678901234567890.12345678901234567890, 1.7976931348623157e308, 0.1, b'101010101'),
  (127, 0, 0.00000000000000000001, -2.2250738585072014e-308, -0.1, b'0'),
  (NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE bytes (id INT PRIMARY KEY AUTO_INCREMENT, raw LONGBLOB, fixed BINARY(4), var VARBINARY(300));
INSERT INTO bytes (raw, fixed, var) VALUES
  (${everyByte}, 0x00, ${everyByte}), (REPEAT(${everyByte}, 4000), 0x27275c5c, ''), (NULL, NULL, NULL), ('', '', '');

CREATE TABLE times (
  d DATE, t TIME(6), dt DATETIME(6), ts TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6), y YEAR
);
SET time_zone = '+05:30';
INSERT INTO times VALUES
  ('1000-01-01', '-838:59:59.000000', '9999-12-31 23:59:59.999999', '2026-03-29 02:30:00.123456', 1901),
  (NULL, NULL, NULL, NULL, NULL);
SET time_zone = DEFAULT;

CREATE TABLE kinds (
  e ENUM('a', 'it''s', 'ü') CHARACTER SET utf8mb4, s SET('x', 'y', 'z'), j JSON, p POINT,
  latin VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german1_ci,
  wide VARCHAR(20) CHARACTER SET utf16, bin VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
);
INSERT INTO kinds VALUES
  ('it''s', 'x,z', '{"a": [1, 2.5, null, "),(", "ü"]}', ST_GeomFromText('POINT(1 2)'), 'Straße', '日本', 'aA'),
  (NULL, '', NULL, NULL, NULL, NULL, NULL);

CREATE TABLE made (
  a INT, b INT GENERATED ALWAYS AS (a * 2) VIRTUAL, c INT GENERATED ALWAYS AS (a + 1) STORED, KEY (c)
);
INSERT INTO made (a) VALUES (1), (2), (NULL);

CREATE TABLE parts (id INT NOT NULL, k INT NOT NULL, PRIMARY KEY (id, k))
  PARTITION BY RANGE (k) (
    PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (100),
    PARTITION pm VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, 5), (2, 50), (3, 500);

CREATE TABLE indexed (
  id INT PRIMARY KEY, title VARCHAR(200), body TEXT, u VARCHAR(50), p POINT NOT NULL,
  UNIQUE KEY one (u), KEY prefix (title(10), id DESC), FULLTEXT KEY words (title, body),
  CONSTRAINT positive CHECK (id > 0)
) COMMENT = 'it''s a table; with (marks)' CHARACTER SET utf8mb4;
INSERT INTO indexed VALUES (1, 'one', 'body one', 'u1', ST_GeomFromText('POINT(0 0)'));

CREATE TABLE child (id INT PRIMARY KEY, parent INT, KEY (parent));
CREATE TABLE zparent (id INT PRIMARY KEY);
ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (parent) REFERENCES zparent (id) ON DELETE CASCADE;
INSERT INTO zparent VALUES (1), (2);
INSERT INTO child VALUES (10, 1), (20, 2), (30, NULL);

CREATE TABLE nothing (id INT PRIMARY KEY);
CREATE TABLE \`Ünï \`\`code\`\` 'n' "q" 表 / -x\` (\`a b\` INT, \`c\`\`d\` INT);
INSERT INTO \`Ünï \`\`code\`\` 'n' "q" 表 / -x\` VALUES (1, 2), (3, 4);
CREATE TABLE twin (n INT);
CREATE TABLE TWIN (n INT);
INSERT INTO twin VALUES (1);
INSERT INTO TWIN VALUES (1), (2);
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
CREATE TABLE zero (id INT PRIMARY KEY AUTO_INCREMENT);
INSERT INTO zero VALUES (0), (5);
SET sql_mode = DEFAULT;
CREATE TABLE old_engine (id INT) ENGINE=MyISAM;
INSERT INTO old_engine VALUES (1);

CREATE VIEW v_base AS SELECT id, t FROM texts WHERE t LIKE '%;%' OR id > 3;
CREATE VIEW a_view_on_view AS SELECT v.id FROM v_base v JOIN numbers n ON n.tiny IS NULL;
CREATE SQL SECURITY INVOKER VIEW v_checked AS SELECT id FROM zparent WHERE id < 100 WITH CHECK OPTION;

DELIMITER //
CREATE TRIGGER before_child BEFORE INSERT ON child FOR EACH ROW
BEGIN
  -- it's a comment; with marks
  IF NEW.parent = 99 THEN SET NEW.parent = NULL; END IF;
END//
CREATE TRIGGER after_twin AFTER INSERT ON twin FOR EACH ROW INSERT INTO TWIN VALUES (NEW.n)//
CREATE FUNCTION add_one(x INT) RETURNS INT DETERMINISTIC NO SQL COMMENT 'it''s' RETURN x + 1//
CREATE PROCEDURE add_one() SELECT add_one(1)//
CREATE PROCEDURE \`say 'hi'\`(IN who VARCHAR(50) CHARACTER SET utf8mb4, OUT said TEXT CHARACTER SET utf8mb4)
BEGIN
  /* a comment; */
  # another; one
  SET said = CONCAT('hi; ', who, ' "ü"');
END//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' DISABLE
  COMMENT 'it''s; nightly' DO BEGIN DELETE FROM nothing; DELETE FROM nothing; END//
DELIMITER ;
`;

const own = {
  mariadb: `
CREATE SEQUENCE seq START WITH 100 INCREMENT BY 7;
SELECT NEXTVAL(seq), NEXTVAL(seq);
CREATE TABLE history (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING;
INSERT INTO history VALUES (1, 1), (2, 2);
UPDATE history SET v = 10 WHERE id = 1;
DELETE FROM history WHERE id = 2;
CREATE TABLE networks (a INET6, u UUID);
INSERT INTO networks VALUES ('2001:db8::1', '123e4567-e89b-12d3-a456-426655440000');
`,
  mysql: `
CREATE TABLE invisible (a INT, hidden INT INVISIBLE DEFAULT 7, KEY k ((a + 1)), KEY off (a) INVISIBLE);
INSERT INTO invisible (a, hidden) VALUES (1, 2), (3, 4);
CREATE TABLE located (g GEOMETRY NOT NULL SRID 4326, SPATIAL KEY (g));
INSERT INTO located VALUES (ST_GeomFromText('POINT(10 20)', 4326));
`,
};

/** Fills an empty database with one of everything. */
export async function makeSample(server: MysqlServer, database: string): Promise<void> {
  await server.sql(database, common + own[server.flavour]);
}

/** All rows and definitions of a database, as text, without its own name. */
export async function contentOf(server: MysqlServer, database: string): Promise<string[]> {
  const found = await server.sql(
    database,
    `SET SESSION group_concat_max_len = 100000;
     SELECT 'TABLE', TABLE_NAME, TABLE_TYPE, (
       SELECT GROUP_CONCAT(CONCAT('HEX(\`', REPLACE(COLUMN_NAME, '\`', '\`\`'), '\`)') ORDER BY ORDINAL_POSITION)
       FROM information_schema.COLUMNS c
       WHERE BINARY c.TABLE_SCHEMA = BINARY t.TABLE_SCHEMA AND BINARY c.TABLE_NAME = BINARY t.TABLE_NAME
     ) FROM information_schema.TABLES t WHERE BINARY TABLE_SCHEMA = BINARY DATABASE();
     SELECT ROUTINE_TYPE, ROUTINE_NAME, '', '' FROM information_schema.ROUTINES
     WHERE BINARY ROUTINE_SCHEMA = BINARY DATABASE();
     SELECT 'TRIGGER', TRIGGER_NAME, '', '' FROM information_schema.TRIGGERS
     WHERE BINARY TRIGGER_SCHEMA = BINARY DATABASE();
     SELECT 'EVENT', EVENT_NAME, '', '' FROM information_schema.EVENTS
     WHERE BINARY EVENT_SCHEMA = BINARY DATABASE();`,
  );
  const objects = found.split("\n").map((line) => line.split("\t"));
  const statements = ["SELECT @@character_set_database, @@collation_database"];
  for (const [kind = "", name = "", type = "", columns = ""] of objects) {
    const quoted = quote(name);
    statements.push(`SHOW CREATE ${kind} ${quoted}`);
    if (kind !== "TABLE" || type.endsWith("VIEW")) continue;
    const all = type === "SYSTEM VERSIONED" ? " FOR SYSTEM_TIME ALL" : "";
    // What a table looks like is also what its bytes are.
    statements.push(`SELECT ${text(name)}, ${columns} FROM ${quoted}${all}`);
  }
  const lines = (await server.sql(database, statements.map((sql) => `${sql};`).join("\n")))
    .split("\n");
  // When a trigger was made is not part of what it is.
  return lines.map((line) => line.replace(/\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d\d$/, "")).sort();
}

/** An identifier, quoted. */
export function quote(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

function text(value: string): string {
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}
