import { createHash } from "node:crypto";
import { isKnownKind, type Kind } from "../contracts/manifest.ts";
import type { Runtime } from "../core/runtime.ts";
import { escapeName } from "./escape.ts";

export { escapeName, unescapeName } from "./escape.ts";

/** What a backup's folder tells by its name. */
export interface FolderName {
  /** To the second. */
  readonly startedAt: Date;
  /** One of `kinds`; the word itself where it is none of them. */
  readonly kind: string;
  readonly id: string;
  readonly sourceTag: string;
  /** Undefined for a full backup. */
  readonly parentId: string | undefined;
}

/** A fresh id of a run and its backup: 8 characters, 40 random bits. */
export function newBackupId(random: Runtime["random"]): string {
  // 256 is a multiple of 32, so every character is as likely as any other.
  return [...random(8)].map((byte) => alphabet[byte % alphabet.length]).join("");
}

/**
 * What stands for a backup in the names that a restore to a moment in it leaves: of the form of an id,
 * the same for the same moment, and another for every other.
 */
export function momentId(id: string, moment: string): string {
  const digest = createHash("sha256").update(`${id}\0${moment}`).digest();
  return newBackupId((bytes) => digest.subarray(0, bytes));
}

/** True for something that can be a backup's id. */
export function isBackupId(text: string): boolean {
  return idPattern.test(text);
}

/** `s` and 24 bits of a digest: tells servers apart that share a job's folder. */
export function sourceTag(kind: string, sourceId: string): string {
  const digest = createHash("sha256").update(`${kind}\0${sourceId}`).digest("hex");
  return `s${digest.slice(0, 6)}`;
}

/** The folder of a backup, as a key prefix: `shop/20261123T030000Z_full_k3v9x2ma_s41f0c2/`. */
export function backupPrefix(name: FolderName & { readonly job: string }): string {
  return `${jobPrefix(name.job)}${folderName(name)}/`;
}

/** Where a job's backups are: `shop/`. */
export function jobPrefix(job: string): string {
  return `${escapeName(job)}/`;
}

/** The key of the small object that a check of the store's clock puts and deletes: `shop/clock-ID`. */
export function scratchKey(job: string, id: string): string {
  return `${jobPrefix(job)}clock-${id}`;
}

/** True for the last part of a {@link scratchKey}. */
export function isScratchName(name: string): boolean {
  return name.startsWith("clock-") && isBackupId(name.slice("clock-".length));
}

/** The name of a backup's folder. */
export function folderName({ startedAt, kind, id, sourceTag, parentId }: FolderName): string {
  const short = isKnownKind(kind) ? shortKinds[kind] : kind;
  const parts = [compactTime(startedAt), short, id, sourceTag];
  return [...parts, ...parentId === undefined ? [] : [parentId]].join("_");
}

/**
 * Reads a folder's name; undefined for one that is not a backup's. A KIND that is not known here is
 * one of a newer program, with a parent or without.
 */
export function parseFolderName(name: string): FolderName | undefined {
  const match = folderPattern.exec(name);
  if (match === null) return undefined;
  const startedAt = parseCompactTime(match[1]!);
  const known = longKinds.get(match[2]!);
  // The long words are the manifest's, never a folder's.
  if (startedAt === undefined || isKnownKind(match[2]!) !== (match[2] === "full")) return undefined;
  const parentId = match[5];
  // Of the kinds that are known, only a full backup stands alone.
  if (known !== undefined && (known === "full") !== (parentId === undefined)) return undefined;
  const kind = known ?? match[2]!;
  return { startedAt, kind, id: match[3]!, sourceTag: match[4]!, parentId };
}

/**
 * The file name of an artifact's first volume: `dump-001-shop.pgdump.zst`; of the inventory, which
 * every backup has once, `inventory.json.zst`.
 */
export function artifactName(artifact: {
  readonly role: string;
  readonly number: number;
  /** Any text; a readable rest of it goes into the name. */
  readonly slug: string;
  /** Format's and codecs' endings, without dots. */
  readonly suffixes: readonly string[];
}): string {
  const { role, number, suffixes } = artifact;
  const slug = readableSlug(artifact.slug);
  const stem = role === "inventory"
    ? role
    : [role, String(number).padStart(3, "0"), ...slug === "" ? [] : [slug]].join("-");
  return [stem, ...suffixes].join(".");
}

/** The file name of an artifact's volume, counted from 1: the second is `NAME.v002`. */
export function volumeName(artifactName: string, number: number): string {
  return number === 1 ? artifactName : `${artifactName}.v${String(number).padStart(3, "0")}`;
}

/** `20261123T030000Z`, to the second. */
export function compactTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, "Z").replaceAll(/[-:]/g, "");
}

/** Reads {@link compactTime}'s form; undefined for anything else, such as a 31st of February. */
export function parseCompactTime(text: string): Date | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return !Number.isNaN(time.getTime()) && compactTime(time) === text ? time : undefined;
}

// Crockford's base 32: no i, l, o, u, which are misread for others.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const idPattern = /^[0-9a-hjkmnp-tv-z]{8}$/;
const folderPattern =
  /^(\d{8}T\d{6}Z)_([a-z]+)_([0-9a-hjkmnp-tv-z]{8})_(s[0-9a-f]{6})(?:_([0-9a-hjkmnp-tv-z]{8}))?$/;

const shortKinds: Readonly<Record<Kind, string>> = {
  full: "full",
  differential: "diff",
  incremental: "incr",
};
const longKinds = new Map(Object.entries(shortKinds).map(([kind, short]) => [short, kind as Kind]));

const longestSlug = 40;

/** Lower-case letters and digits of any text, for people; the real names are in the manifest. */
function readableSlug(text: string): string {
  return text.normalize("NFKD").replaceAll(/\p{M}/gu, "").toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-").slice(0, longestSlug).replaceAll(/^-+|-+$/g, "");
}
