import { z } from "zod";
import { type NamedSection, sectionNamedBy } from "../../src/config/schema-parts.ts";
import { Secret } from "../../src/core/secret.ts";

/** How the type of a schema is written. */
export interface SchemaTypeOptions {
  /** The names of schemas that have a type of their own. */
  readonly named: ReadonlyMap<z.core.$ZodType, string>;
  /** What stands for the names that a section of a config declares: a type parameter. */
  readonly sections?: Readonly<Partial<Record<NamedSection, string>>>;
  /** Members and lists are `readonly`. Default false. */
  readonly isReadonly?: boolean;
  /** The doc comment of a member whose schema has no description, by its dotted path. */
  readonly docs?: ReadonlyMap<string, string>;
}

/**
 * What may be written where a schema is asked, as TypeScript; descriptions become doc comments.
 *
 * @param path of the schema in `docs`
 * @throws Error for a kind of schema that it does not know: say here how it is written
 */
export function schemaType(schema: z.core.$ZodType, o: SchemaTypeOptions, path = ""): string {
  const name = o.named.get(schema);
  if (name !== undefined) return name;
  const section = sectionNamedBy(schema);
  if (section !== undefined) return o.sections?.[section] ?? "string";
  const type = (inner: z.core.$ZodType) => schemaType(inner, o, path);
  const readonly = o.isReadonly === true ? "readonly " : "";
  if (schema instanceof z.ZodObject) return objectType(schema, o, path);
  if (schema instanceof z.ZodOptional) return `${type(schema.unwrap())} | undefined`;
  if (schema instanceof z.ZodNullable) return `${type(schema.unwrap())} | null`;
  if (schema instanceof z.ZodArray) {
    const element = type(schema.element);
    const isSimple = /^\w+$/.test(element) || schema.element instanceof z.ZodObject;
    return `${readonly}${isSimple ? element : `(${element})`}[]`;
  }
  if (schema instanceof z.ZodRecord) {
    const [key, value] = [type(schema.keyType), type(schema.valueType)];
    return sectionNamedBy(schema.keyType) === undefined
      ? `Record<${key}, ${value}>`
      : `{ ${readonly}[name in ${key}]?: ${value} }`;
  }
  if (schema instanceof z.ZodUnion) {
    const members = [...new Set(schema.options.map(type))].join(" | ");
    return members === "string | Secret" ? "Text" : members;
  }
  if (schema instanceof z.ZodEnum) return literals(schema.options);
  if (schema instanceof z.ZodLiteral) return literals([...schema.values]);
  if (schema instanceof z.ZodCustom && schema.safeParse(new Secret([])).success) return "Secret";
  const primitive = schema._zod.def.type;
  if (["string", "number", "boolean", "unknown"].includes(primitive)) return primitive;
  throw new Error(`No type is known for a schema of ${primitive}${path && ` at ${path}`}`);
}

function objectType(schema: z.ZodObject, o: SchemaTypeOptions, path: string): string {
  const readonly = o.isReadonly === true ? "readonly " : "";
  const members = Object.entries(schema.shape).map(([name, member]) => {
    const here = path === "" ? name : `${path}.${name}`;
    const doc = descriptionOf(member) ?? o.docs?.get(here);
    const mark = member instanceof z.ZodOptional ? "?" : "";
    const text = `${readonly}${name}${mark}: ${schemaType(member, o, here)};`;
    return doc === undefined ? text : `${docComment(doc)}\n${text}`;
  });
  // What a loose object keeps of later versions.
  if (schema.def.catchall instanceof z.ZodUnknown) members.push("[key: string]: unknown;");
  if (members.length === 0) return "Record<string, never>";
  return `{\n${members.join("\n").replace(/^(?=.)/gm, "  ")}\n}`;
}

/** What `.describe()` says, before or behind `.optional()`. */
function descriptionOf(schema: z.core.$ZodType): string | undefined {
  if (!(schema instanceof z.ZodType)) return undefined;
  return schema.description ??
    (schema instanceof z.ZodOptional ? descriptionOf(schema.unwrap()) : undefined);
}

/** A doc comment, in lines of at most 100 characters. */
export function docComment(text: string): string {
  const safe = text.replaceAll("*/", "*\\/");
  if (safe.length <= 88) return `/** ${safe} */`;
  const lines = safe.match(/\S(?:.{0,85}\S)?(?=\s|$)/g) ?? [safe];
  return `/**\n${lines.map((line) => ` * ${line}`).join("\n")}\n */`;
}

function literals(values: readonly unknown[]): string {
  return values.map((one) => JSON.stringify(one)).join(" | ");
}
