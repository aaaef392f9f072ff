import type { RecipeInput } from "../../contracts/recipe.ts";
import type { Manifest } from "../../contracts/manifest.ts";

/** The commands that restore an artifact. */
export function recipe({ artifact, manifest, rawBytesCommand }: RecipeInput): string[] {
  // An address on the command line would show its password to everybody.
  const first = [
    '# First write one line into the file "$HOME/mongodb.yaml", and chmod 600 it:',
    '#   uri: "mongodb://USER:PASSWORD@HOST:27017/?authSource=admin"',
    "# Percent-encode what is special in the password.",
  ];
  const command = `${rawBytesCommand} | mongorestore --config="$HOME/mongodb.yaml" --archive`;
  if (artifact.role === "accounts") {
    return [
      ...first,
      "# Users and roles; those that are there already get what the backup has:",
      command,
    ];
  }
  const names = artifact.databases.map((name) => JSON.stringify(name)).join(", ") || "none";
  return [
    ...first,
    `# Into a server without these databases: ${names}`,
    [command, ...restoreFlags(manifest)].join(" "),
    '# The last line must say "0 document(s) failed to restore".',
    "# Where the server refuses something, that stops at it. To go on after errors instead, drop",
    "# what it has made, and bring the documents alone; make indexes, validators and views by hand:",
    `#   ${[command, ...goingOnFlags(manifest)].join(" ")}`,
  ];
}

/** The flags of mongorestore that bring a dump back as it was. */
export function restoreFlags(manifest: Manifest): string[] {
  return [
    // Stops at the first error too; otherwise mongorestore goes on and exits 0.
    "--maintainInsertionOrder",
    // Documents may be older than their collection's validator.
    "--bypassDocumentValidation",
    ...hasOplog(manifest) ? ["--oplogReplay"] : [],
  ];
}

/** The flags of mongorestore that bring the documents, and go on after each that fails. */
export function goingOnFlags(manifest: Manifest): string[] {
  return [
    ...["--noIndexRestore", "--noOptionsRestore", "--bypassDocumentValidation"],
    ...hasOplog(manifest) ? ["--oplogReplay"] : [],
  ];
}

/** Whether a dump holds the oplog of the time it took. */
export function hasOplog(manifest: Manifest): boolean {
  return manifest.position.to?.["isConsistent"] === true;
}
