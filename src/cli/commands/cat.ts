import type { Artifact, Manifest } from "../../contracts/manifest.ts";
import { BackupError } from "../../core/errors.ts";
import { formatBytes, shellQuote } from "../../core/text.ts";
import { catArtifact, pickArtifact } from "../../jobs/cat/cat.ts";
import {
  commonFlags,
  defineCommand,
  merge,
  object,
  optionalArgument,
  requiredArgument,
  toggle,
} from "../command.ts";
import { keyFlags } from "../encryption.ts";
import { fromOption } from "../from.ts";
import type { Session } from "../session.ts";
import { formatTable } from "../table.ts";

/** `cat ID [ARTIFACT]`. */
export const cat = defineCommand({
  path: ["cat"],
  brief: "Write a dump of a backup to standard output.",
  description:
    "Writes one artifact of a backup to standard output: decrypted, decompressed, and checked to " +
    "its end. Where it is damaged the command ends with status 7, and what was written is not " +
    "whole. Without ARTIFACT it is the only dump, or a list where there are several; with --json " +
    "always the list.",
  examples: [
    "dbbackup cat k3v9x2ma > shop.pgdump",
    "dbbackup cat k3v --from ./backups | head -c 100",
    "dbbackup cat k3v accounts",
    "dbbackup cat k3v inventory --from ./backups | jq .",
  ],
  parser: merge(
    object({
      id: requiredArgument("ID", "The backup's id; its beginning is enough while it is unique."),
      artifact: optionalArgument(
        "ARTIFACT",
        "Its number, its file, its role (accounts, inventory), or the database it is the dump of.",
      ),
      from: fromOption(),
      force: toggle("--force", "Write what is no text to a terminal, too."),
    }),
    keyFlags,
    commonFlags,
  ),
  async run({ id, artifact, from, force, ...keys }, session) {
    const { stdout } = session.host;
    if (keys.json && artifact !== undefined) {
      throw new BackupError("usage/cat-json", `--json cannot go with the artifact "${artifact}"`, {
        hint: "--json lists the artifacts. Leave one of them out.",
      });
    }
    const { manifest, artifact: written } = await catArtifact({
      destinations: await session.destinations(from),
      backup: id,
      pick: (manifest) => keys.json ? undefined : pickArtifact(manifest, artifact),
      kinds: session.connectors(),
      write(chunk) {
        if (stdout.isTerminal && !force && !isText(chunk)) throw notForTerminal(id);
        session.clearProgress();
        return stdout.writeBytes(chunk);
      },
    }, withoutProgress(session.job("cat", keys), stdout.isTerminal));
    session.clearProgress();
    if (written === undefined && !keys.json && !stdout.isTerminal) throw severalError(manifest);
    if (written === undefined) session.print(artifactTable(manifest));
    return { json: manifest.artifacts.map(artifactJson) };
  },
});

/** On a terminal the text itself shows how far it is. */
function withoutProgress(
  { onEvent, ...context }: ReturnType<Session["job"]>,
  isTerminal: boolean,
): ReturnType<Session["job"]> {
  return isTerminal || onEvent === undefined ? context : { ...context, onEvent };
}

/** What a terminal shows as it is: no control characters but tabs and line ends. */
function isText(chunk: Uint8Array): boolean {
  return chunk.every((byte) =>
    byte >= 0x20 ? byte !== 0x7f : /[\t\n\r]/.test(String.fromCharCode(byte))
  );
}

function notForTerminal(id: string): BackupError {
  return new BackupError("usage/binary-output", "The artifact is no text for a terminal", {
    hint: `Send it to a file or a program, \`dbbackup cat ${
      shellQuote(id)
    } > FILE\`, or give --force.`,
  });
}

function severalError(manifest: Manifest): BackupError {
  const files = manifest.artifacts.map(({ number, volumes }) => `${number} (${volumes[0]!.name})`);
  return new BackupError("usage/missing-artifact", `Backup ${manifest.id} has several artifacts`, {
    hint: `Name one: ${files.join(", ")}.`,
  });
}

function artifactTable({ artifacts }: Manifest): string {
  return formatTable(
    [
      { title: "ARTIFACT", isRight: true },
      { title: "ROLE" },
      { title: "DATABASES", maxWidth: 24 },
      { title: "RAW", isRight: true },
      { title: "FILE" },
    ],
    artifacts.map(({ number, role, databases, rawBytes, volumes }) => [
      String(number),
      role,
      databases.join(", "),
      formatBytes(rawBytes),
      volumes[0]!.name,
    ]),
  );
}

function artifactJson({ number, role, databases, format, rawBytes, rawSha256, volumes }: Artifact) {
  const files = volumes.map(({ name }) => name);
  return { number, role, databases, format, rawBytes, rawSha256, files };
}
