import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { BackupError, systemCode } from "../../core/errors.ts";
import { commonFlags, defineCommand, merge, object, textOption } from "../command.ts";

/** `key new`. */
export const keyNew = defineCommand({
  path: ["key", "new"],
  brief: "Make a pair of keys for encrypted backups.",
  description:
    "Makes a pair of age keys. The recipient, age1…, is public and goes into the config. " +
    "The identity, AGE-SECRET-KEY-1…, opens the backups: keep it where the backups are not, and " +
    "keep it twice, for nothing opens them without it. Without --output it is printed.",
  examples: [
    "dbbackup key new --output ./backup-key.txt",
    "dbbackup key new --output ./backup-key.txt --json | jq -r .recipient",
  ],
  parser: merge(
    object({ output: textOption("--output", "PATH", "A new file for the identity; mode 0600.") }),
    commonFlags,
  ),
  async run({ output, json }, session) {
    if (json && output === undefined) {
      throw new BackupError("usage/missing-output", "--json needs an --output", {
        hint: "The identity is a secret: it goes into a file of its own, never into JSON.",
      });
    }
    const { generateX25519Identity, identityToRecipient } = await import("age-encryption");
    const identity = await generateX25519Identity();
    const recipient = await identityToRecipient(identity);
    // The form of age-keygen's files.
    const created = session.host.now().toISOString().replace(/\.\d+Z$/, "Z");
    const content = `# created: ${created}\n# public key: ${recipient}\n${identity}\n`;
    if (output === undefined) {
      session.print(content.trimEnd());
      return { json: null };
    }
    const path = resolve(session.host.cwd, output);
    await write(path, content);
    session.print(`Public key: ${recipient}\nThe identity is in ${path}: keep it off this server.`);
    return { json: { recipient, output: path } };
  },
});

async function write(path: string, content: string): Promise<void> {
  try {
    await writeFile(path, content, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    if (systemCode(cause) === "EEXIST") {
      throw new BackupError("config/exists", `There is already "${path}"`, {
        hint: "Name another file: an identity that is lost opens no backup any more.",
      });
    }
    throw new BackupError("config/unwritable", `Cannot write "${path}"`, {
      cause,
      hint: "Make the folder and let this user write it, or name another file.",
    });
  }
}
