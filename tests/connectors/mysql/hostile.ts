/** Names that tools, quoting and careless readers of SQL stumble over; none over 64 characters. */
const names = [
  "a".repeat(64),
  "ü".repeat(64),
  "日".repeat(40),
  "back`tick",
  "qu'ote",
  'double"quote',
  " lead",
  "in side",
  "do.t",
  "se;mi",
  "-- Dump completed",
  "/*!50003 x */",
  "percent%_",
  "back\\slash",
  "tab\there",
  "new\nline",
  "$dollar",
  "123",
  "select",
  "*/ x",
  "# hash",
  "Final view structure for view `x`",
  "INSERT INTO `x` VALUES (1)",
  "@at",
];

const quoted = (name: string) => `\`${name.replaceAll("`", "``")}\``;
const cut = (letter: string, name: string) => quoted([...`${letter}${name}`].slice(0, 64).join(""));

/** Tables, views, functions, procedures of 60 parameters, triggers and events of every such name. */
function ofEveryName(): string[] {
  return names.flatMap((name) => {
    const table = quoted(name);
    return [
      `CREATE TABLE ${table} (${table} INT COMMENT 'it''s; -- x', b TEXT, KEY ${
        cut("k", name)
      } (${table}))`,
      `INSERT INTO ${table} VALUES (1, '-- Dump completed on 2020-01-01 00:00:00\n'), (2, '\nDELIMITER ;;\n')`,
      `CREATE VIEW ${cut("v", name)} AS SELECT * FROM ${table}`,
      `CREATE FUNCTION ${cut("f", name)}(${
        cut("p", name)
      } INT) RETURNS INT DETERMINISTIC NO SQL RETURN 1`,
      `CREATE PROCEDURE ${cut("f", name)}(${
        Array.from({ length: 60 }, (_, index) => `IN p${index} VARCHAR(200)`).join(", ")
      }) SELECT 1`,
      `CREATE TRIGGER ${cut("t", name)} BEFORE INSERT ON ${table} FOR EACH ROW SET NEW.b = 'x'`,
      `CREATE TRIGGER ${cut("s", name)} BEFORE INSERT ON ${table} FOR EACH ROW PRECEDES ${
        cut("t", name)
      } SET NEW.b = 'y'`,
      `CREATE EVENT ${cut("e", name)} ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1`,
    ];
  });
}

/** What both servers have beside plain tables. */
const kinds = [
  "CREATE TABLE csv (a INT NOT NULL) ENGINE=CSV",
  "INSERT INTO csv VALUES (1)",
  "CREATE TABLE m1 (a INT) ENGINE=MyISAM",
  "INSERT INTO m1 VALUES (1)",
  "CREATE TABLE merged (a INT) ENGINE=MERGE UNION=(m1)",
  "CREATE TABLE memory (a INT) ENGINE=MEMORY",
  "CREATE TABLE latin (`Ünï` INT) CHARACTER SET latin1 COMMENT 'ß'",
  "CREATE TABLE parts (id INT, d DATE) PARTITION BY HASH(id) PARTITIONS 7",
  `CREATE TABLE wide (${
    Array.from({ length: 40 }, (_, index) => `c${index} INT COMMENT '${"x".repeat(900)}'`).join()
  })`,
];

const bodies = String.raw`
DELIMITER //
CREATE PROCEDURE body() BEGIN
-- Dump completed
/* delimiter ;; */ SELECT 'a
;;
DELIMITER ;
'; # it's
SELECT ${"`a;;b` FROM (SELECT 1 AS `a;;b`"}) x; END//
CREATE PROCEDURE other() BEGIN SELECT 1 /* a ' alone */; SELECT "dq ' \" ;;"; END//
DELIMITER ;
`;

const own = {
  mariadb: String.raw`
CREATE TABLE history (a INT) WITH SYSTEM VERSIONING; INSERT INTO history VALUES (1);
CREATE SEQUENCE ${"`s q```"};
CREATE TABLE aria (a INT) ENGINE=Aria TRANSACTIONAL=1;
CREATE TABLE hidden (a INT, b INT INVISIBLE, c INT AS (a + 1) PERSISTENT INVISIBLE);
CREATE TABLE period (a INT, s DATE, e DATE, PERIOD FOR p(s, e), UNIQUE (a, p WITHOUT OVERLAPS));
CREATE TABLE packed (a TEXT COMPRESSED, u UUID, i INET6);
SET sql_mode = ORACLE;
DELIMITER //
CREATE PACKAGE ${"`Odd ``package`"} AS PROCEDURE p1; FUNCTION f1 RETURN INT; END;//
CREATE PACKAGE BODY ${"`Odd ``package`"} AS PROCEDURE p1 AS BEGIN SELECT 1; END;
FUNCTION f1 RETURN INT AS BEGIN RETURN 1; END; END;//
CREATE PROCEDURE oracle(a IN INT) AS b INT; BEGIN b := a; END;//
DELIMITER ;
`,
  mysql: `
CREATE TABLE vectors (v VECTOR(3)); INSERT INTO vectors VALUES (STRING_TO_VECTOR('[1.1,2.123456789,3]'));
CREATE TABLE expressions (a INT, j JSON, KEY k ((a + 1)), KEY m ((CAST(j->'$.x' AS UNSIGNED ARRAY))));
CREATE TABLE defaults (a INT DEFAULT (1 + 1), b JSON DEFAULT (JSON_ARRAY()));
CREATE TABLE hidden (a INT INVISIBLE, b INT);
CREATE TABLE lax (a INT, CONSTRAINT c CHECK (a > 0) NOT ENFORCED); INSERT INTO lax VALUES (-1);
`,
} as const;

/** SQL that makes everything with hostile names, and every kind of object. */
export function hostileSql(flavour: "mariadb" | "mysql"): string {
  return [
    ...[...ofEveryName(), ...kinds].map((statement) => `${statement};\n`),
    bodies,
    own[flavour],
  ].join("");
}
