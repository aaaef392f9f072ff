import { z } from "zod";
import { isTimeZone, timeZones } from "../catalog/periods.ts";
import { Secret } from "../core/secret.ts";
import { parseSize, sizePattern } from "../core/units.ts";

const sizeError = 'expected a size such as "512MiB" or "100GiB"';
/** A size, still a text: {@link parseSize}. */
export const size = z.string({ error: sizeError }).regex(sizePattern, {
  error: sizeError,
  abort: true,
})
  .refine((text) => parseSize(text) !== undefined, sizeError);

// A key that is written into a config would go wherever the config goes, so only a reference will do.
/** A secret that is only referred to. */
export const reference = z.instanceof(Secret, {
  error: "expected a reference: env(…) or file(…), in YAML ${X} or ${file:…}",
}).meta({ type: "string", pattern: "\\$\\{.+\\}" });

/** Texts that are not empty. */
export const texts = z.array(z.string().min(1));

/** A whole number from 0. */
export const count = z.number().int().nonnegative();

const timezoneError = 'expected the name of a time zone such as "Europe/Berlin" or "UTC"';

/** The name of a time zone. */
export const timezone = z.string({ error: timezoneError }).refine(isTimeZone, {
  error: timezoneError,
  params: { known: timeZones },
});

// What a name is of, for types: `.brand` leaves no trace in the schema itself.
const namesOf = z.registry<{ readonly section: NamedSection }>();
/** The sections of a config whose names other keys use. */
export type NamedSection = "databases" | "destinations";

/** The name of one of the databases: a typo does not compile. */
export const databaseName = z.string().brand<"databases", "in">()
  .register(namesOf, { section: "databases" });
/** The name of one of the destinations. */
export const destinationName = z.string().brand<"destinations", "in">()
  .register(namesOf, { section: "destinations" });

/** The section that a schema takes the names of; undefined for one that takes no names. */
export function sectionNamedBy(schema: z.core.$ZodType): NamedSection | undefined {
  return schema instanceof z.ZodType ? namesOf.get(schema)?.section : undefined;
}

/** Names that are not known to be declared. */
export type AnyNames = Readonly<Record<NamedSection, string>>;

/**
 * What is written where a schema has `T`, with the names that are declared in their places; see
 * {@link databaseName}.
 */
export type WithNames<T, N extends Readonly<Record<NamedSection, string>>> = T extends
  string & z.core.$brand<infer B> ? (B extends NamedSection ? N[B] : T)
  : T extends Secret | ((...args: never[]) => unknown) ? T
  : T extends readonly (infer E)[] ? readonly WithNames<E, N>[]
  : T extends object ? (
      string & z.core.$brand<"destinations"> extends keyof T
        ? { readonly [K in N["destinations"]]?: WithNames<T[keyof T], N> }
        : { readonly [K in keyof T]: WithNames<T[K], N> }
    )
  : T;
