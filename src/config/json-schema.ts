import { z } from "zod";
import type { Kinds } from "../registry.ts";
import { configSchema } from "./schema.ts";

type JsonSchema = Record<string, unknown>;

/**
 * The JSON Schema of `backup.config.yaml`, for editors:
 * `# yaml-language-server: $schema=backup.config.schema.json`. `type:` tells the kinds apart.
 */
export function configJsonSchema(kinds: Pick<Kinds, "connectors" | "storages">): JsonSchema {
  const whole = toSchema(configSchema);
  const properties = asObject(whole["properties"]);
  return {
    ...whole,
    title: "dbbackup configuration",
    patternProperties: { "^x-": { description: "Anything, such as settings with an anchor." } },
    properties: {
      ...properties,
      databases: sectionOf(kinds.connectors, "The databases, by names of your own."),
      destinations: sectionOf(kinds.storages, "The destinations, by names of your own.", {
        uploadLimit: {
          type: "string",
          description: "The most that uploads send in a second: 20MiB/s. Default no limit.",
        },
      }),
    },
  };
}

function sectionOf(
  kinds: readonly {
    readonly kind: string;
    readonly description?: string;
    readonly options: z.ZodType;
  }[],
  description: string,
  ofAll: JsonSchema = {},
): JsonSchema {
  return {
    type: "object",
    description,
    additionalProperties: {
      type: "object",
      required: ["type"],
      properties: { type: { enum: kinds.map(({ kind }) => kind) } },
      // One kind's own keys each, so that an editor offers those of the type that stands there.
      allOf: kinds.map(({ kind, description, options }) => ({
        if: { properties: { type: { const: kind } }, required: ["type"] },
        then: withType({ const: kind, description }, toSchema(options), ofAll),
      })),
    },
  };
}

function withType(type: JsonSchema, schema: JsonSchema, ofAll: JsonSchema): JsonSchema {
  const { $schema: _, ...rest } = schema;
  return {
    ...rest,
    properties: { type, ...asObject(rest["properties"]), ...ofAll },
  };
}

function toSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override({ jsonSchema }) {
      // `env(…)` and `file(…)` are `${X}` in YAML, inside the text: only the text remains.
      const members = jsonSchema.anyOf;
      if (members === undefined) return;
      const real = members.filter((member) => Object.keys(member).length > 0);
      if (real.length === members.length || real.length === 0) return;
      delete jsonSchema.anyOf;
      if (real.length === 1) Object.assign(jsonSchema, real[0]);
      else jsonSchema.anyOf = real;
    },
  });
}

function asObject(value: unknown): JsonSchema {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
