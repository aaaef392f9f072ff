import type { RecipeInput } from "../../contracts/recipe.ts";
import { shellQuote } from "../../core/text.ts";
import { isPartialBackup } from "./losses.ts";
import { databaseArgument, quoteName } from "./names.ts";

// `--create` would end at them: "already exists".
const madeByInitdb = ["postgres", "template1"];

/** The commands that restore an artifact. */
export function recipe({ artifact, manifest, rawBytesCommand }: RecipeInput): string[] {
  const login = "# First, where they differ: export PGHOST=… PGPORT=… PGUSER=… and PGPASSWORD=… " +
    "or ~/.pgpass";
  if (artifact.role === "accounts") {
    return [
      login,
      "# Roles and tablespaces. Before the databases, if this server does not have them; what is",
      '# there already says "already exists" and is given the backup\'s password and attributes.',
      // Older psqls do not know the two commands that newer pg_dumpalls write.
      `${rawBytesCommand} | sed '/^\\\\restrict /d; /^\\\\unrestrict /d' | psql -X --dbname=postgres`,
    ];
  }
  const [name = "restored"] = artifact.databases;
  const isPartial = isPartialBackup(manifest);
  const strictly = isPartial ? "" : " --exit-on-error";
  // It ends with status 1 where it says what failed, and that is not all there is to restore.
  const goingOn = isPartial ? " || echo 'Read above what could not be made.' >&2" : "";
  const extra = (manifest.settings.restoreArgs ?? []).map((arg) => ` ${shellQuote(arg)}`).join("");
  const isInEveryServer = madeByInitdb.includes(name);
  const create = `CREATE DATABASE ${quoteName(name)} TEMPLATE template0`;
  return [
    login,
    "# Roles that own something must be there; else add --no-owner --no-privileges.",
    `# With pg_restore not older than the pg_dump that made it (${
      manifest.clientTools.find((tool) => tool.name === "pg_dump")?.version ?? "see above"
    }):`,
    ...isPartial
      ? [
        "# Something was left out of this backup. What needs it fails, and a schema that is there",
        '# already "already exists": pg_restore goes on, says what failed, and all else is there.',
      ]
      : [],
    ...isInEveryServer
      ? [
        "# Every server has this database, and a new one has nothing in it. Where yours has, use the",
        "# other way below.",
        `${rawBytesCommand} | pg_restore${strictly} --dbname=${name}${extra}${goingOn}`,
      ]
      : [
        "# The server has no database of this name yet:",
        `${rawBytesCommand} | pg_restore${strictly} --create --dbname=postgres${extra}${goingOn}`,
      ],
    "# Or into a database of another name, NEW:",
    `#   psql -X --dbname=postgres -c ${
      shellQuote(create.replace(quoteName(name), '"NEW"')).replaceAll("\n", " ")
    }`,
    `#   ${rawBytesCommand} | pg_restore${strictly} ${shellQuote(databaseArgument("NEW"))}${
      extra.replaceAll("\n", " ")
    }`,
    ...isPartial ? [] : [
      "# --exit-on-error stops at the first statement that fails. Without it pg_restore goes on, says",
      "# what failed and ends with status 1; what failed is missing then, and all else can be used.",
    ],
    "# Where functions, types or tables are not found although they are there: archives restore with",
    "# an empty search_path. Into an empty database NEW, with the usual one instead:",
    `#   ${rawBytesCommand} | pg_restore -f - | sed "/^SELECT pg_catalog.set_config('search_path'/d" ` +
    `| psql -X -v ON_ERROR_STOP=1 ${shellQuote(databaseArgument("NEW"))}`,
  ];
}
