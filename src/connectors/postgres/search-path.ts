import type { Abortable } from "../../core/bytes.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { Client, Row } from "./client.ts";
import { sqlState } from "./failure.ts";
import { quoteName } from "./names.ts";
import type { Server } from "./server.ts";

const limitMs = 5_000;
const statementMs = 2_000;
const lockMs = 200;
const mostPairs = 2_000;
const mostShown = 5;

/** What the server says of a name that it does not find: of a function, table, type, schema, column. */
const nameStates: ReadonlySet<string> = new Set(["42883", "42P01", "42704", "3F000", "42703"]);

/** An object that a restore makes or fills by evaluating an expression, and a function in that. */
interface Use {
  /** `index public.places_earth`. */
  readonly object: string;
  /** `EXPLAIN` of its expression; undefined where that could run more than the planner may. */
  readonly explain: string | undefined;
  readonly oid: string;
  /** `public.f_unaccent(text)`. */
  readonly name: string;
  readonly extension: string | undefined;
}

/** A function that fails with an empty search_path. */
interface Finding {
  readonly name: string;
  readonly extension: string | undefined;
  readonly message: string;
  /** The schemas with which it works, as in SET; undefined where the session's own fail, too. */
  readonly path: string | undefined;
  readonly objects: Set<string>;
}

type Context = Abortable & { readonly runtime: Pick<Runtime, "log"> };

/**
 * Finds what will fail in a restore because archives have an empty search_path: indexes, CHECK
 * constraints, generated columns, partition keys and materialized views through functions in SQL that
 * name others without their schema.
 *
 * Nothing of the user's is run: the server only reads the functions again, as when they were made,
 * and plans expressions that it plans with every query of their tables; in transactions that write
 * nothing. It takes 5 s at most, and says nothing where it cannot tell. Functions in other languages
 * are not read: they show what they lack only when they run.
 *
 * @returns a sentence for each function
 */
export async function searchPathWarnings(
  client: Client,
  database: string,
  server: Pick<Server, "major">,
  o: Context,
): Promise<string[]> {
  try {
    const findings = await find(client, database, server, o);
    return findings.map((finding) => sentenceOf(finding, database));
  } catch (error) {
    o.signal.throwIfAborted();
    o.runtime.log.debug("Cannot look for what needs a search_path in {database}: {error}", {
      database,
      error: String(error),
    });
    return [];
  }
}

async function find(
  client: Client,
  database: string,
  server: Pick<Server, "major">,
  o: Context,
): Promise<Finding[]> {
  const endsAt = performance.now() + limitMs;
  const found = await tried(client, database, "pg_catalog", usesQuery(server), o);
  const uses = Array.isArray(found) ? found.map(useOf) : [];
  const findings = new Map<string, Finding>();
  const failing = new Set<string>();

  async function ask(text: string, known: Pick<Use, "oid" | "name" | "extension"> | undefined) {
    const failure = await tried(client, database, "''", text, o);
    if (Array.isArray(failure) || !nameStates.has(sqlState(failure) ?? "")) return undefined;
    const own = await tried(client, database, "DEFAULT", text, o);
    // The innermost comes first.
    const inner = /"(.+?)"/.exec(whereOf(failure))?.[1];
    const name = known?.name ?? inner ?? "";
    const finding = findings.get(name) ?? {
      name,
      extension: known?.extension,
      message: failure.message,
      path: Array.isArray(own) ? await ownPath(client, database, o) : undefined,
      objects: new Set(),
    };
    findings.set(name, finding);
    return finding;
  }

  const byFunction = Map.groupBy(uses, ({ oid }) => oid);
  for (const [oid, [first, ...more]] of byFunction) {
    if (performance.now() > endsAt) break;
    const finding = await ask(`SELECT pg_catalog.fmgr_sql_validator(${oid})`, first!);
    if (finding === undefined) continue;
    for (const { object } of [first!, ...more]) {
      failing.add(object);
      finding.objects.add(object);
    }
  }
  // What is sound itself may call, by its whole name, one that is not.
  for (const [object, [first]] of Map.groupBy(uses, (use) => use.object)) {
    if (performance.now() > endsAt) break;
    if (failing.has(object) || first!.explain === undefined) continue;
    (await ask(first!.explain, undefined))?.objects.add(object);
  }
  return [...findings.values()];
}

/** Runs one query that changes nothing, or says how the server refuses it. */
async function tried(
  client: Client,
  database: string,
  path: string,
  query: string,
  o: Abortable,
): Promise<Row[] | Error> {
  await client.rows(
    database,
    `BEGIN READ ONLY; SET LOCAL search_path = ${path};
     SET LOCAL statement_timeout = ${statementMs}; SET LOCAL lock_timeout = ${lockMs}`,
    o,
  );
  try {
    return await client.rows(database, query, o);
  } catch (error) {
    if (!(error instanceof Error) || sqlState(error) === undefined) throw error;
    return error;
  } finally {
    await client.rows(database, "ROLLBACK", o);
  }
}

async function ownPath(
  client: Client,
  database: string,
  o: Abortable,
): Promise<string | undefined> {
  const found = await tried(
    client,
    database,
    "DEFAULT",
    `SELECT pg_catalog.string_agg(pg_catalog.quote_ident(s), ', ') AS path
       FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) s`,
    o,
  );
  const path = Array.isArray(found) ? found[0]?.["path"] : undefined;
  return typeof path === "string" ? path : undefined;
}

function whereOf(error: Error): string {
  return "where" in error && typeof error.where === "string" ? error.where : "";
}

function useOf(row: Row): Use {
  const text = (name: string) => row[name] === null ? undefined : String(row[name]);
  const [expression, relation] = [text("expression"), text("relation")];
  return {
    object: String(row["object"]),
    explain: expression === undefined || relation === undefined
      ? undefined
      : `EXPLAIN SELECT ${expression} FROM ONLY ${relation}`,
    oid: String(row["oid"]),
    name: String(row["name"]),
    extension: text("extension"),
  };
}

/** Which functions in SQL, without a search_path of their own, are behind what a restore evaluates. */
function usesQuery({ major }: Pick<Server, "major">): string {
  const isOwn = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
  const hasPath = "EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) s " +
    "WHERE s LIKE 'search\\_path=%')";
  const generated = major < 12 ? "" : `UNION ALL
    SELECT 'pg_attrdef'::regclass::oid, d.oid,
           pg_catalog.format('generated column %s.%I', c.oid::regclass, a.attname),
           pg_catalog.pg_get_expr(d.adbin, d.adrelid), c.oid
      FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
     WHERE a.attgenerated = 's' AND ${isOwn}`;
  return `WITH RECURSIVE root (classid, objid, object, expression, relation) AS (
    SELECT 'pg_class'::regclass::oid, i.indexrelid, 'index ' || i.indexrelid::regclass,
           pg_catalog.concat_ws(', ', pg_catalog.pg_get_expr(i.indexprs, i.indrelid),
             pg_catalog.pg_get_expr(i.indpred, i.indrelid)), i.indrelid
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) AND ${isOwn}
    UNION ALL
    SELECT 'pg_constraint'::regclass::oid, k.oid,
           pg_catalog.format('constraint %I of %s', k.conname,
             CASE k.conrelid WHEN 0 THEN k.contypid::regtype::text
               ELSE k.conrelid::regclass::text END),
           CASE k.conrelid WHEN 0 THEN NULL
             ELSE pg_catalog.pg_get_expr(k.conbin, k.conrelid) END, k.conrelid
      FROM pg_catalog.pg_constraint k
      JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
     WHERE k.contype = 'c' AND ${isOwn}
    ${generated}
    UNION ALL
    SELECT 'pg_class'::regclass::oid, t.partrelid, 'partition key of ' || t.partrelid::regclass,
           pg_catalog.pg_get_expr(t.partexprs, t.partrelid), t.partrelid
      FROM pg_catalog.pg_partitioned_table t WHERE t.partexprs IS NOT NULL
    UNION ALL
    SELECT 'pg_rewrite'::regclass::oid, r.oid, 'materialized view ' || c.oid::regclass, NULL, NULL
      FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'm' AND c.relispopulated AND ${isOwn}
  ), used (root_class, root, classid, objid) AS (
    SELECT classid, objid, classid, objid FROM root
    UNION
    SELECT u.root_class, u.root, CASE WHEN v.oid IS NULL THEN d.refclassid
             ELSE 'pg_rewrite'::regclass::oid END, coalesce(v.oid, d.refobjid)
      FROM used u JOIN pg_catalog.pg_depend d ON d.classid = u.classid AND d.objid = u.objid
      -- What a view shows is in its rule.
      LEFT JOIN (SELECT r.oid, r.ev_class FROM pg_catalog.pg_rewrite r
            JOIN pg_catalog.pg_class c ON c.oid = r.ev_class WHERE c.relkind = 'v') v
        ON d.refclassid = 'pg_class'::regclass AND v.ev_class = d.refobjid
     WHERE (d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) OR v.oid IS NOT NULL)
       AND NOT (u.classid = 'pg_proc'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_proc p
             WHERE p.oid = u.objid AND ${hasPath}))
  ), asked (root_class, root, oid) AS (
    SELECT root_class, root, objid FROM used WHERE classid = 'pg_proc'::regclass
  )
  SELECT root.object, root.expression, root.relation::regclass::text AS relation, p.oid::text,
         p.oid::regprocedure::text AS name, e.extname AS extension
    FROM asked JOIN root ON root.classid = asked.root_class AND root.objid = asked.root
    JOIN pg_catalog.pg_proc p ON p.oid = asked.oid
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname = 'sql'
    LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_proc'::regclass AND x.objid = p.oid
      AND x.deptype = 'e' AND x.refclassid = 'pg_extension'::regclass
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
   -- A body that was read when it was made has no text.
   WHERE p.prosrc <> '' AND NOT ${hasPath}
   ORDER BY p.oid, root.object LIMIT ${mostPairs}`;
}

function sentenceOf({ name, extension, message, path, objects }: Finding, database: string) {
  const all = [...objects];
  const shown = all.length > mostShown ? [...all.slice(0, mostShown), "…"] : all;
  const isOne = all.length === 1;
  const what = name === ""
    ? `${shown.join(", ")} ${isOne ? "fails" : "fail"}`
    : `${shown.join(", ")} ${isOne ? "uses" : "use"} ${name}, which fails`;
  const cure = extension === undefined
    ? `ALTER FUNCTION ${name || "…"} SET search_path = ${path ?? "…"} makes it safe`
    : `The extension ${extension} may have a newer version without this: ` +
      `ALTER EXTENSION ${quoteName(extension)} UPDATE`;
  return `In "${database}", ${what} with the empty search_path that archives are restored with ` +
    `(${message})` +
    `${path === undefined ? ", and with this database's own" : ""}. ${cure}`;
}
