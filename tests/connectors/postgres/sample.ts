/** The parts of PostgreSQL that a backup can lose. */
export const sample = `
CREATE SCHEMA "Odd Schema";
CREATE SCHEMA "ünï";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE SEQUENCE numbers INCREMENT 5 START 100;
SELECT nextval('numbers');
CREATE TABLE t (
  id serial PRIMARY KEY, v text COLLATE "C", m mood, p positive, j json, jb jsonb, bytes bytea,
  at timestamptz, local timestamp, span interval, amount numeric(20, 5), f float8, tags text[],
  net inet, uid uuid, r int4range, made int GENERATED ALWAYS AS (p * 2) STORED,
  UNIQUE (id, m), CHECK (p < 1000000)
);
INSERT INTO t (v, m, p, j, jb, bytes, at, local, span, amount, f, tags, net, uid, r)
  SELECT E'a\\nb\\t\\\\.\\r' || i, (ARRAY['sad', 'ok', 'it''s'])[i % 3 + 1]::mood, i, '{"a": [1,  2]}',
    '{"b":null}', (SELECT string_agg(set_byte('x', 0, b), '' ORDER BY b)
      FROM generate_series(0, 255) b), '2026-03-29 01:30:00+00'::timestamptz + i * interval '1 hour',
    '2026-01-01 00:00:00.123456', '1 year 2 days', 12345678901234.56789, 'NaN',
    ARRAY['a,b', NULL, '"q"', '\\.'], '::1/64', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '[1,5)'
  FROM generate_series(1, 60) i;
INSERT INTO t (v) VALUES (''), (NULL), (E'\\\\.'), (E'\\n\\n\\n'), ('日本語 🎉');
CREATE TABLE nothing ();
CREATE TABLE empty (id int GENERATED ALWAYS AS IDENTITY, note text DEFAULT 'x');
CREATE TABLE part (id int, k text) PARTITION BY LIST (k);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_rest PARTITION OF part DEFAULT;
CREATE INDEX part_index ON part (id);
INSERT INTO part VALUES (1, 'a'), (2, 'b'), (3, NULL);
CREATE TABLE child (extra int) INHERITS (t);
INSERT INTO child (v, extra) VALUES ('c', 1);
CREATE INDEX t_v ON t (v) WHERE v <> '';
CREATE INDEX t_expression ON t USING gin (jb);
CREATE STATISTICS t_statistics ON id, p FROM t;
CREATE VIEW sad AS SELECT id, v FROM t WHERE m = 'sad';
CREATE MATERIALIZED VIEW totals AS SELECT m, count(*) AS n FROM t GROUP BY m;
CREATE UNIQUE INDEX totals_m ON totals (m);
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;
CREATE FUNCTION add(a int, b pair DEFAULT NULL, VARIADIC c mood[] DEFAULT '{}') RETURNS int
  LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION "Odd Schema"."odd ""fn"() RETURNS int
  LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE nop() LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
CREATE AGGREGATE all_rows(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE TRIGGER "my trigger" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER on_part AFTER INSERT ON part FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION on_ddl();
CREATE TABLE "Odd Schema"."Ta""ble é" ("Col 1" int REFERENCES t (id), "select" text);
INSERT INTO "Odd Schema"."Ta""ble é" VALUES (1, 'x'), (2, NULL);
CREATE TABLE "ünï"."表" (id int PRIMARY KEY);
INSERT INTO "ünï"."表" SELECT generate_series(1, 3);
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON t FOR SELECT USING (m <> 'sad');
CREATE RULE no_delete AS ON DELETE TO empty DO INSTEAD NOTHING;
CREATE UNLOGGED TABLE scratch AS SELECT 1 AS one;
CREATE COLLATION german (provider = icu, locale = 'de-DE-u-ks-level2', deterministic = false);
CREATE TABLE sorted (name text COLLATE german);
INSERT INTO sorted VALUES ('ä'), ('Z');
COMMENT ON TABLE t IS 'it''s "t"; -- no comment';
SELECT lo_from_bytea(0, 'hello'), lo_from_bytea(0, (SELECT bytes FROM t LIMIT 1)), lo_create(0);
SELECT setval('t_id_seq', 4711);
`;
