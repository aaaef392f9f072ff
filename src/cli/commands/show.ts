import { recipientsIn } from "../../codecs/age-keys.ts";
import type { Manifest } from "../../contracts/manifest.ts";
import type { BackupRef, Mark } from "../../contracts/strategy.ts";
import type { ShownBackup } from "../../jobs/list/types.ts";
import { databasesOf, encryptionOf } from "../../jobs/list/summary.ts";
import { showInventory } from "../../jobs/list/inventory.ts";
import { showBackup } from "../../jobs/list/list.ts";
import { BackupError } from "../../core/errors.ts";
import { briefPatience } from "../../core/retry.ts";
import { briefWords, formatBytes, formatDuration } from "../../core/text.ts";
import { rawBytesOf } from "../../catalog/seal.ts";
import { windowsOf } from "../../catalog/windows.ts";
import { backupJson, marksOf } from "../backups.ts";
import { commonFlags, defineCommand, merge, object, requiredArgument, toggle } from "../command.ts";
import { keyFlags } from "../encryption.ts";
import { errorJson } from "../errors.ts";
import { fromOption } from "../from.ts";
import { formatTable } from "../table.ts";
import { describeTables, tablesOf } from "../tables.ts";
import { formatTime, formatTook } from "../times.ts";
import { windowText } from "../window-text.ts";

/** `show ID`. */
export const show = defineCommand({
  path: ["show"],
  brief: "Show everything about one backup.",
  description: "Shows everything about one backup: its source, chain, artifacts, marks, what was " +
    "left out, and the settings it was taken with. A destination that cannot be looked at is an " +
    "error, and in JSON an entry of `unreached`. With --tables, what its inventory names, with rows and bytes; of an " +
    "encrypted backup that needs the key.",
  examples: [
    "dbbackup show k3v9x2ma",
    "dbbackup show k3v --from ./backups --json",
    "dbbackup show k3v --tables",
  ],
  parser: merge(
    object({
      id: requiredArgument("ID", "The backup's id; its beginning is enough while it is unique."),
      from: fromOption(),
      tables: toggle("--tables", "Show its tables or collections, with their rows and bytes."),
    }),
    keyFlags,
    commonFlags,
  ),
  async run({ id, from, tables, ...keys }, session) {
    const destinations = await session.destinations(from);
    const { backup, chain, unreached } = await showBackup(destinations, id, {
      ...session.job("show"),
      patience: briefPatience,
    });
    const inventory = tables
      ? await showInventory(destinations, id, {
        ...session.job("show", keys),
        patience: briefPatience,
      })
      : undefined;
    session.clearProgress();
    session.print(
      inventory === undefined
        ? describe(backup, chain)
        : describeTables(inventory, backup.manifest),
    );
    const errors = unreached.map(({ name, error: { code, message, hint } }) =>
      new BackupError(code, `Cannot tell whether "${name}" has it: ${message}`, { hint })
    );
    for (const error of errors) session.complain(error);
    return {
      json: {
        ...backupJson(backup, session),
        chain: chain.map((one) => one.id),
        manifest: backup.manifest ?? null,
        ...inventory === undefined ? {} : { tables: tablesOf(inventory) },
        unreached: unreached.map(({ name, error }) => ({
          destination: name,
          error: errorJson(error, session.secrets),
        })),
      },
      codes: errors.map(({ code }) => code),
    };
  },
});

function describe(backup: ShownBackup, chain: readonly BackupRef[]): string {
  const { manifest } = backup;
  const facts: (readonly [string, string])[] = [
    ["id", backup.id],
    ["job", backup.job],
    ["kind", backup.kind],
    ["chain", chainText(chain)],
    ["destinations", backup.destinations.join(", ")],
    ["folder", backup.prefix],
    ["started", formatTime(backup.createdAt)],
    ["marks", marksText(backup)],
  ];
  if (manifest === undefined) {
    const reason = backup.error?.message ?? "unknown";
    return factLines([...facts, ["unreadable", reason]]);
  }
  const { source, settings, strategy } = manifest;
  const startedMs = new Date(manifest.startedAt).getTime();
  const tookMs = new Date(manifest.finishedAt).getTime() - startedMs;
  const position = manifest.position.to ?? manifest.position.from;
  const databases = databasesOf(manifest);
  facts.push(
    ...strategy === undefined ? [] : [["strategy", strategyText(strategy)] as const],
    ["took", formatDuration(tookMs)],
    ["shows data of", formatTime(new Date(manifest.consistentAt))],
    ...windowsOf([...chain.slice(0, -1), backup]).slice(0, 1)
      .map((window) => ["restores to", windowText(window)] as const),
    ["source", `${source.flavour} ${source.version}, ${source.id} (${source.tag})`],
    ["position", position === undefined ? "none" : positionText(position)],
    ["size", `${formatBytes(rawBytesOf(manifest))} raw, ${formatBytes(backup.storedBytes)} stored`],
    ["encryption", encryptionText(manifest)],
    // A log is of the whole server, and names none.
    ...databases.length === 0 ? [] : [["databases", databases.join(", ")] as const],
    [
      "left out",
      manifest.omitted.map(({ name, reason }) => `${name}: ${reason}`).join("; ") || "nothing",
    ],
    ["settings", Object.keys(settings).length === 0 ? "none" : JSON.stringify(settings)],
    ["warnings", manifest.warnings.join("; ") || "none"],
    [
      "made by",
      [manifest.tool, ...manifest.clientTools].map((t) => `${t.name} ${t.version}`).join(", "),
    ],
  );
  const artifacts = formatTable(
    [{ title: "FILE" }, { title: "ROLE" }, { title: "RAW", isRight: true }, {
      title: "STORED",
      isRight: true,
    }, {
      title: "SHA-256 OF THE RAW BYTES",
    }],
    manifest.artifacts.flatMap((artifact) =>
      artifact.volumes.map((volume, index) => [
        volume.name,
        index === 0 ? artifact.role : "",
        index === 0 ? formatBytes(artifact.rawBytes) : "",
        formatBytes(volume.bytes),
        index === 0 ? artifact.rawSha256.slice(0, 16) : "",
      ])
    ),
  );
  return `${factLines(facts)}\n\n${artifacts}`;
}

function encryptionText(manifest: Manifest): string {
  const parameters = encryptionOf(manifest);
  if (parameters === undefined) return "none";
  const recipients = recipientsIn(parameters);
  return recipients.length === 0
    ? "encrypted with a passphrase"
    : `encrypted to ${recipients.map(briefWords).join(", ")}`;
}

function strategyText({ id, reason, wanted }: NonNullable<Manifest["strategy"]>): string {
  return wanted === undefined ? `${id}: ${reason}` : `${id}; full because ${reason}`;
}

function chainText(chain: readonly BackupRef[]): string {
  const ids = chain.map(({ id }) => id).join(" → ");
  return chain[0]!.parentId === undefined ? ids : `${chain[0]!.parentId} (missing) → ${ids}`;
}

function markText(mark: Mark): string {
  if (mark.type === "hold") return "hold";
  const text = `${mark.type} ${formatTime(mark.at)}`;
  return mark.type === "drilled" ? `${text} (restored in ${formatTook(mark.restoreMs)})` : text;
}

/** Those of each destination, where they are not the same at all. */
function marksText({ copies }: ShownBackup): string {
  const texts = copies.map(({ marks }) => marksOf(marks).map(markText).join(", ") || "none");
  if (new Set(texts).size === 1) return texts[0]!;
  return copies.map(({ destination }, index) => `${destination}: ${texts[index]}`).join("; ");
}

/** `lsn 0/1ECB830, timeline 1`. */
function positionText({ type, ...fields }: { readonly type: string }): string {
  const parts = Object.entries(fields).map(([name, value]) =>
    `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`
  );
  return type in fields ? parts.join(", ") : [type, ...parts].join(", ");
}

function factLines(facts: readonly (readonly [string, string])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}
