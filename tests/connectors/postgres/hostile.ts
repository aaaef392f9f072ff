/** Names that a quoting, a cut or a decoding that is wrong does not survive; at most 63 bytes each. */
export const hostileNames: readonly string[] = [
  "plain",
  "Upper Case",
  "select",
  "a.b",
  'quote"quote""',
  "it's",
  "back\\slash",
  "new\nline",
  "tab\tand\rreturn",
  " spaces ",
  "-- comment; DROP",
  "$tag$",
  "a=b host=x",
  "%s *?[a]",
  "(argument, other)",
  "1digit",
  "ünï",
  "表🎉",
  "x".repeat(63),
  `${"ü".repeat(31)}y`,
  "🎉".repeat(15),
];

/** Every kind of object that SQL alone can make, each with a hostile name in a hostile schema. */
export function hostileSchema(name: string, number: number): string {
  const q = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const n = q(name);
  // Objects without a schema, and those that share a namespace, take other names.
  const other = (at: number) => q(cut(`${at}${name}`));
  const text = `'${name.replaceAll("'", "''").replaceAll("\\", "\\\\")}'`;
  const literal = `E${text}`;
  const argument = (at: number) => `${q(cut(`${at}${name}`))} int`;
  const arguments100 = Array.from({ length: 100 }, (_, at) => argument(at)).join(", ");
  return `
CREATE SCHEMA ${n};
SET search_path = ${n};
CREATE TYPE ${other(1)} AS ENUM (${literal}, 'b');
CREATE TYPE ${other(2)} AS (${n} int, b text);
CREATE TYPE ${other(3)} AS RANGE (subtype = int4, multirange_type_name = ${other(27)});
CREATE DOMAIN ${other(4)} AS int CONSTRAINT ${n} CHECK (VALUE > 0);
CREATE COLLATION ${n} (provider = libc, locale = 'C');
CREATE SEQUENCE ${other(5)} START 7;
CREATE TABLE ${n} (
  ${n} int GENERATED ALWAYS AS IDENTITY CONSTRAINT ${other(6)} PRIMARY KEY,
  ${other(7)} ${other(1)} DEFAULT ${literal},
  ${other(8)} text COLLATE ${n},
  ${other(9)} int GENERATED ALWAYS AS (1 + 1) STORED,
  serial serial,
  CONSTRAINT ${other(10)} UNIQUE (${other(8)}),
  CONSTRAINT ${other(11)} CHECK (${other(9)} = 2),
  CONSTRAINT ${other(12)} EXCLUDE USING btree (serial WITH =)
);
INSERT INTO ${n} (${other(8)}) VALUES (${literal}), ('b');
CREATE TABLE ${other(13)} (${n} int CONSTRAINT ${n} REFERENCES ${n} (${n}));
INSERT INTO ${other(13)} VALUES (1), (NULL);
CREATE TABLE ${other(14)} (${n} int) INHERITS (${n});
CREATE TABLE ${other(15)} (${n} int, k text) PARTITION BY LIST (k);
CREATE TABLE ${other(16)} PARTITION OF ${other(15)} FOR VALUES IN (${literal});
CREATE INDEX ${other(17)} ON ${other(15)} (${n});
INSERT INTO ${other(15)} VALUES (1, ${literal});
CREATE INDEX ${other(18)} ON ${n} (lower(${other(8)})) WHERE ${other(8)} <> ${literal};
CREATE STATISTICS ${n} ON ${n}, serial FROM ${n};
CREATE VIEW ${other(19)} AS SELECT * FROM ${n};
CREATE MATERIALIZED VIEW ${other(20)} AS SELECT ${n} FROM ${n};
CREATE FUNCTION ${n}(${arguments100}) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION ${n}(${other(1)}[], VARIADIC ${other(2)}[]) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE PROCEDURE ${other(21)}(${argument(1)}) LANGUAGE sql AS '';
CREATE AGGREGATE ${other(22)}(int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION ${other(23)}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER ${n} BEFORE INSERT ON ${n} FOR EACH ROW EXECUTE FUNCTION ${other(23)}(${literal});
ALTER TABLE ${n} DISABLE TRIGGER ${n};
CREATE RULE ${n} AS ON DELETE TO ${other(13)} DO INSTEAD NOTHING;
CREATE POLICY ${n} ON ${n} USING (${other(8)} <> ${literal});
CREATE FUNCTION ${other(24)}(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = ${other(24)});
CREATE OPERATOR FAMILY ${n} USING btree;
CREATE OPERATOR CLASS ${n} FOR TYPE int USING btree FAMILY ${n} AS OPERATOR 3 =;
CREATE TEXT SEARCH DICTIONARY ${n} (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION ${n} (COPY = simple);
CREATE CONVERSION ${n} FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE FUNCTION ${other(25)}() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER ${n} ON sql_drop EXECUTE FUNCTION ${other(25)}();
CREATE FOREIGN DATA WRAPPER ${n};
CREATE SERVER ${n} FOREIGN DATA WRAPPER ${n} OPTIONS (host ${literal});
CREATE USER MAPPING FOR postgres SERVER ${n} OPTIONS (password ${literal});
CREATE FOREIGN TABLE ${other(26)} (${n} int) SERVER ${n};
CREATE PUBLICATION ${n} FOR TABLE ${n} ${number % 2 === 0 ? `(${n})` : ""};
CREATE ACCESS METHOD ${n} TYPE TABLE HANDLER heap_tableam_handler;
CREATE CAST (${other(2)} AS int) WITH INOUT;
ALTER DEFAULT PRIVILEGES IN SCHEMA ${n} GRANT SELECT ON TABLES TO PUBLIC;
GRANT SELECT (${n}) ON ${n} TO PUBLIC;
COMMENT ON TABLE ${n} IS ${literal};
COMMENT ON COLUMN ${n}.${n} IS ${literal};
COMMENT ON CONSTRAINT ${other(6)} ON ${n} IS ${literal};
SELECT lo_from_bytea(0, 'large');
`;
}

/** At most 63 bytes of a text, in whole characters. */
function cut(text: string): string {
  let found = "";
  for (const character of text) {
    if (new TextEncoder().encode(found + character).length > 63) break;
    found += character;
  }
  return found;
}
