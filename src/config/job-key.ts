import type { z } from "zod";
import type { ConnectorKind } from "../contracts/connector.ts";
import type { DumpSettings } from "../contracts/source.ts";
import type { Compression, DatabaseDefinition, DestinationDefinition } from "./definitions.ts";
import { type ConfigPath, type Problem, unknownName } from "./problems.ts";

/** What a key's value may depend on besides what is written. */
export interface Reading {
  readonly database: DatabaseDefinition;
  readonly destinations: readonly DestinationDefinition[];
  /** The folder that relative paths start from. */
  readonly base: string;
  /** What is written of the job's other keys. */
  readonly written: { readonly retryTimeout?: string | undefined };
}

/** What a key's value is held against, besides its schema: other keys, and what is declared. */
export interface Checking {
  /** Where it stands: `jobs.shop.accept`. */
  readonly path: ConfigPath;
  /** True in `defaults`, which serve jobs of several kinds: what one of them takes is right. */
  readonly isDefault: boolean;
  /** The kind of the job's database; in `defaults` those of all databases. */
  readonly kinds: readonly ConnectorKind[];
  /** The names of the job's destinations; in `defaults` of all that are declared. */
  readonly destinations: readonly string[];
  /** The names that are declared. */
  readonly declared: {
    readonly databases: readonly string[];
    readonly destinations: readonly string[];
  };
}

/** A flag of `backup` that sets a key, or a part of one, for one run. */
export type JobFlag =
  & { readonly flag: `--${string}`; readonly description: string }
  & (
    /** A text that the key's schema checks; `examples` say how it is written. */
    | { readonly form: "text"; readonly metavar: "TIME" | "SIZE"; readonly examples: string }
    /** May be given several times. */
    | { readonly form: "list"; readonly metavar: "NAME" | "ARG" }
    | { readonly form: "choice"; readonly metavar: "CODEC"; readonly values: readonly string[] }
    | { readonly form: "count"; readonly metavar: "N" }
    | { readonly form: "toggle" }
  );

/** What a flag may add to of the job that it changes; an ad-hoc job has nothing of it yet. */
export interface FlaggedJob {
  readonly compression?: Compression;
}

/** All there is to know about a key of a job: everything else about it is made from this. */
export interface JobKey<
  S extends z.ZodType = z.ZodType,
  As extends string = string,
  V = unknown,
  J extends boolean = boolean,
> {
  /** What may be written, with what the key means and its default in `.describe()`. */
  readonly schema: S;
  /** Its name in the model, with its unit. */
  readonly as: As;
  /** The value, with its default filled in. */
  read(written: z.output<S> | undefined, o: Reading): V;
  /** As `config show` prints it; undefined where it does not. */
  show(value: V): unknown;
  /** What is wrong with a value that its schema takes; of each value that is written. */
  check?(written: z.output<S>, o: Checking): Problem[];
  /**
   * True where each job is checked with its value even if that comes from `defaults`, and without
   * one: then `written` is undefined.
   */
  readonly isCheckedInEachJob?: boolean;
  /** True for what makes no sense in `defaults`. */
  readonly isOnlyOfJobs?: J;
  /** True for {@link DumpSettings}, which only some kinds of database have. */
  readonly isSetting?: boolean;
  /** Its flags, by the names of their values. */
  readonly flags?: Readonly<Record<string, JobFlag>>;
  /**
   * What its flags write, where that is not the value of the one named like the key.
   *
   * @throws BackupError `usage/bad-value` for flags that do not go together, or with the job
   */
  fromFlags?(values: Readonly<Record<string, unknown>>, job: FlaggedJob): unknown;
}

/** Only for its types. */
export function key<S extends z.ZodType, const As extends string, V, J extends boolean = false>(
  entry: JobKey<S, As, V, J>,
): JobKey<S, As, V, J> {
  return entry;
}

/** A key that some kinds of database have: it goes to the dump as it is written. */
export function setting<const N extends keyof DumpSettings, S extends z.ZodType<DumpSettings[N]>>(
  name: N,
  { schema, flag }: { readonly schema: S; readonly flag?: JobFlag },
): JobKey<S, "settings", z.output<S> | undefined, false> {
  return {
    schema,
    as: "settings",
    isSetting: true,
    read: (written, { database }) => database.kind.settings.includes(name) ? written : undefined,
    show: (value) => value,
    check(_, { path, isDefault, kinds }) {
      const [kind] = kinds;
      if (kinds.some(({ settings }) => settings.includes(name))) return [];
      const { title, settings } = isDefault || kind === undefined
        ? { title: undefined, settings: [] }
        : kind;
      return [{
        path,
        found: title === undefined
          ? "a setting that no declared database has"
          : `a setting that ${title} does not have`,
        expected: title === undefined
          ? "no such setting"
          : settings.length === 0
          ? "none of these settings"
          : `one of ${settings.join(", ")}`,
      }];
    },
    ...(flag === undefined ? {} : { flags: { [name]: flag } }),
  };
}

/** The problems of names of which each must be one of those that are known. */
export function unknownNames(
  names: readonly string[],
  { path, what, known }: {
    readonly path: ConfigPath;
    readonly what: string;
    readonly known: readonly string[];
  },
): Problem[] {
  return names.flatMap((name, index) =>
    known.includes(name) ? [] : [unknownName([...path, index], name, what, known)]
  );
}
