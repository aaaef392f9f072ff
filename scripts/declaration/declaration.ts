/**
 * Makes `dbbackup.d.ts`: what "dbbackup" exports, for editors, tsc and deno. It stands alone, because
 * beside a config there is no package to import from.
 *
 *   bun scripts/declaration/declaration.ts     prints it
 *
 * TypeScript writes the declarations of each file; what is exported is gathered from them, with what
 * it needs. The types of schemas are written from the schemas.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Factory } from "../../src/contracts/declare.ts";
import { type Declared, declaredIn, type Export, exportsOf } from "./declared.ts";
import { docComment, schemaType } from "./schema-type.ts";

const here = dirname(fileURLToPath(import.meta.url));

/**
 * The type file of a module.
 *
 * @param entry the module that is served as "dbbackup"
 * @throws Error for what it cannot declare: a type of a package, a value without a type
 */
export async function declaration(entry = join(here, "../../src/mod.ts")): Promise<string> {
  const found = new Map<string, Declared>();
  const exported = exportsOf(entry);
  const wanted: Export[] = [...exported];
  for (let next = wanted.shift(); next !== undefined; next = wanted.shift()) {
    const { isType } = next;
    const one = await declaredIn(next);
    const known = found.get(one.name);
    // Of a value that is exported as a type only a class is of use.
    if (isType && !one.isType && !/\bclass /.test(one.text)) continue;
    if (known !== undefined && known.file !== one.file) {
      throw new Error(`Two are called ${one.name}`);
    }
    found.set(one.name, one);
    if (known === undefined) wanted.push(...one.needs.map((need) => ({ ...need, isType: false })));
  }
  // By these names they are written wherever they stand.
  const named = new Map<z.core.$ZodType, string>();
  for (const { name, schema } of found.values()) {
    if (schema !== undefined && schema.parameters === "") named.set(schema.value, name);
  }
  const values = new Set(exported.filter(({ isType }) => !isType).map(({ name }) => name));
  const types = new Set(exported.map(({ name }) => name));
  const blocks = [...found.values()].map((one) => {
    const text = textOf(one, named).replace(/^export (declare )?/gm, "");
    if (/: any[;,)\]]/.test(text)) throw new Error(`It has no type of its own:\n${text}`);
    const isExported = (one.isType ? types : values).has(one.name);
    return isExported ? text.replace(new RegExp(`^(?=\\w+ ${one.name}\\b)`, "m"), "export ") : text;
  });
  const zod = readFileSync(join(here, "zod.d.ts"), "utf8").replace("declare ", "").trim();
  const onlyTypes = [...found.values()].filter(({ name, isType }) =>
    !isType && types.has(name) && !values.has(name)
  ).map(({ name }) => name);
  // Without this everything would be exported, what the exports need, too.
  const last = `export type { ${onlyTypes.join(", ")} };`;
  const body = [...blocks, zod, last].join("\n\n").replace(/^(?=.)/gm, "  ");
  return '// What "dbbackup" exports, for editors. Written by `dbbackup config types`; do not edit.\n' +
    `declare module "dbbackup" {\n${body}\n}\n`;
}

/** A declaration as it stands in the file. */
function textOf(one: Declared, named: Map<z.core.$ZodType, string>): string {
  const { name, text, schema, value } = one;
  if (schema !== undefined) {
    const doc = /^\/\*\*.*?\*\/\n/s.exec(text)?.[0] ?? "";
    const { value, parameters, ...how } = schema;
    const others = new Map([...named].filter(([, other]) => other !== name));
    const written = schemaType(value, { ...how, named: others });
    return doc + typeText(name + parameters, written);
  }
  const factory = factoryOf(value);
  return factory === undefined ? text : factoryText(name, factory, named);
}

function typeText(name: string, type: string): string {
  return type.startsWith("{") ? `interface ${name} ${type}` : `type ${name} = ${type};`;
}

/** What a factory makes, and of what. */
function factoryOf(value: unknown) {
  if (!isFactory(value)) return undefined;
  if ("connector" in value) {
    return { ...pick(value.connector), result: "DatabaseDeclaration" as const };
  }
  if ("storage" in value) {
    return { ...pick(value.storage), result: "DestinationDeclaration" as const };
  }
  return { ...pick(value.strategy), result: "StrategyInput" as const };
}

function pick({ options, description }: {
  readonly options: z.ZodType;
  readonly description?: string;
}) {
  return { options, description };
}

function isFactory(value: unknown): value is Factory {
  return typeof value === "function" &&
    ["connector", "storage", "strategy"].some((name) => name in value);
}

/** A factory, with its options before it; kinds with the same options share their name. */
function factoryText(
  name: string,
  { options, description, result }: NonNullable<ReturnType<typeof factoryOf>>,
  named: Map<z.core.$ZodType, string>,
): string {
  const known = named.get(options);
  const type = known ?? `${name[0]!.toUpperCase()}${name.slice(1)}Options`;
  const before = known === undefined
    ? `/** Options of {@link ${name}}. */\n${typeText(type, schemaType(options, { named }))}\n`
    : "";
  named.set(options, type);
  const doc = description === undefined ? "" : `${docComment(description)}\n`;
  const parameter = {
    DatabaseDeclaration: `options: ${type}`,
    DestinationDeclaration: `options: ${type} & UploadLimitInput`,
    StrategyInput: `options?: ${type}`,
  }[result];
  return `${before}${doc}function ${name}(${parameter}): ${result};`;
}

if (import.meta.main) console.log((await declaration()).trimEnd());
