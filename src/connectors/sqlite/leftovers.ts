import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Abortable } from "../../core/bytes.ts";
import { shellQuote } from "../../core/text.ts";
import type { RestorableChain } from "../../contracts/restore.ts";
import { contentOf } from "./changes/apply.ts";
import { statOrNone } from "./files.ts";

/** Where a backup is restored before it takes its place. */
export function besideOf(file: string, backupId: string): string {
  return `${file}_restore_${backupId}`;
}

/** Where the old content is copied before it gets the name that it is kept under. */
export function keepingOf(file: string, backupId: string): string {
  return `${file}_keeping_${backupId}`;
}

/** What earlier restores left beside a file, killed or because what they restored differed. */
export interface Leftovers {
  /** Holds, to the last byte, what this backup does; undefined where there is no such file. */
  readonly whole: string | undefined;
  /** Sentences for the plan. */
  readonly warnings: readonly string[];
}

/** Looks for what earlier restores left. Files of this backup are written anew, others only named. */
export async function findLeftovers(
  file: string,
  chain: RestorableChain,
  o: Abortable & { readonly backupId: string; readonly isAccepted: boolean },
): Promise<Leftovers> {
  const beside = besideOf(file, o.backupId);
  const isWhole = await holds(beside, chain, o);
  const warnings: string[] = [];
  for (const name of await names(file)) {
    const path = join(dirname(file), name);
    const isOurs = path === beside || path === keepingOf(file, o.backupId);
    if (!isOurs) {
      warnings.push(`"${path}" was left by another restore; remove it: rm -- ${shellQuote(path)}`);
    } else if (path !== beside || !isWhole) {
      warnings.push(`"${path}" was left by a restore that was cut short, and is removed`);
    } else if (!o.isAccepted) {
      warnings.push(
        `"${path}" is what an earlier restore of this backup left, and is written anew; ` +
          "--accept-differences takes it as it is",
      );
    }
  }
  return { whole: isWhole ? beside : undefined, warnings };
}

async function names(file: string): Promise<string[]> {
  const start = basename(file);
  const all = await readdir(dirname(file)).catch(() => []);
  // The names of our own making: an id has 8 of these characters.
  return all.filter((name) =>
    name.startsWith(`${start}_`) &&
    /^_(?:restore|keeping)_[0-9a-hjkmnp-tv-z]{8}$/.test(name.slice(start.length))
  ).sort();
}

/** Whether a file is what the chain's last backup holds, by its digest. */
export async function holds(
  path: string,
  chain: RestorableChain,
  o: Abortable,
): Promise<boolean> {
  const content = contentOf(chain);
  const stats = await statOrNone(path);
  if (!stats?.isFile() || Number(stats.size) !== content?.bytes) return false;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { signal: o.signal })) hash.update(chunk);
  return hash.digest("hex") === content.sha256;
}
