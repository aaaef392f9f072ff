/** The part of zod that options need; all of zod is there. */
export declare namespace z {
  export interface ZodType<O = unknown> {
    readonly _output: O;
    parse(value: unknown): O;
    safeParse(value: unknown): { success: boolean; data?: O };
    optional(): ZodOptional<O>;
    default(value: O): ZodOptional<O>;
    describe(text: string): this;
    refine(check: (value: O) => unknown, message?: string): this;
  }
  export interface ZodOptional<O> extends ZodType<O | undefined> {
    readonly isOptionalKey: true;
  }
  export interface ZodString extends ZodType<string> {
    min(length: number, message?: string): this;
    max(length: number, message?: string): this;
    regex(pattern: RegExp, message?: string): this;
  }
  export interface ZodNumber extends ZodType<number> {
    int(): this;
    positive(): this;
    nonnegative(): this;
    min(value: number): this;
    max(value: number): this;
  }
  export interface ZodArray<O> extends ZodType<O[]> {
    min(length: number): this;
  }
  export type Shape = Record<string, ZodType<unknown>>;
  export type OptionalKeys<S extends Shape> = {
    [K in keyof S]: S[K] extends ZodOptional<unknown> ? K : never;
  }[keyof S];
  export type ObjectOf<S extends Shape> =
    & { [K in Exclude<keyof S, OptionalKeys<S>>]: S[K]["_output"] }
    & { [K in OptionalKeys<S>]?: S[K]["_output"] };
  export type infer<T extends ZodType> = T["_output"];
  export function string(): ZodString;
  export function number(): ZodNumber;
  export function boolean(): ZodType<boolean>;
  export function literal<const T extends string | number | boolean>(value: T): ZodType<T>;
  export function array<O>(element: ZodType<O>): ZodArray<O>;
  export function record<O>(key: ZodType<string>, value: ZodType<O>): ZodType<Record<string, O>>;
  export function strictObject<S extends Shape>(shape: S): ZodType<ObjectOf<S>>;
  export function object<S extends Shape>(shape: S): ZodType<ObjectOf<S>>;
  export function union<const T extends readonly ZodType[]>(
    members: T,
  ): ZodType<T[number]["_output"]>;
  const _enum: <const T extends string>(values: readonly T[]) => ZodType<T>;
  export { _enum as enum };
  /** A class, such as Secret. */
  const _instanceof: <T>(type: abstract new (...args: never[]) => T) => ZodType<T>;
  export { _instanceof as instanceof };
}
