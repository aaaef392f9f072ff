import manifest from "../../deno.json" with { type: "json" };

/** The version of this dbbackup, from the project's manifest. */
export const version: string = manifest.version;
