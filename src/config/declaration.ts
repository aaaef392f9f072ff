/** Put in by scripts/build.ts; there is none where the program runs from its source. */
declare const builtDeclaration: string | undefined;

/**
 * `dbbackup.d.ts`: what "dbbackup" exports, for editors, tsc and deno. It is generated when the
 * program is built; from source, each time that it is asked for.
 */
export async function declarationFile(): Promise<string> {
  if (typeof builtDeclaration === "string") {
    return builtDeclaration;
  } else {
    const { declaration } = await import("../../scripts/declaration/declaration.ts");
    return await declaration();
  }
}
