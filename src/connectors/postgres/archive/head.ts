import { Buffer } from "node:buffer";
import type { Abortable } from "../../../core/bytes.ts";
import type { RestorableArtifact } from "../../../contracts/restore.ts";
import { truncated } from "./damage.ts";
import { type ArchiveHead, type TocEntry, tocReader } from "./toc.ts";
import { rolesAfter } from "./sql.ts";

/** Reads the head of a stored archive, and no more of it than that takes. */
export async function readHead(artifact: RestorableArtifact, o: Abortable): Promise<ArchiveHead> {
  const reader = tocReader();
  for await (const chunk of artifact.open(o)) {
    if (reader.push(chunk) !== undefined) return reader.head();
  }
  throw truncated("it ends inside its table of contents");
}

/** The head's own bytes: what pg_restore needs to make all that has no rows in the archive. */
export async function readHeadBytes(
  artifact: RestorableArtifact,
  o: Abortable,
): Promise<Uint8Array> {
  const reader = tocReader();
  const chunks: Uint8Array[] = [];
  for await (const chunk of artifact.open(o)) {
    // A copy: the producer uses its buffer again.
    chunks.push(new Uint8Array(chunk));
    const rest = reader.push(chunk);
    if (rest === undefined) continue;
    const whole = Buffer.concat(chunks);
    return whole.subarray(0, whole.length - rest.length);
  }
  throw truncated("it ends inside its table of contents");
}

/** The major version in `15.18 (Debian …)`. */
export function majorOf(version: string): number {
  return Number.parseInt(version);
}

/** The roles that own something in an archive. */
export function ownersOf(entries: readonly TocEntry[]): string[] {
  return [...new Set(entries.flatMap(({ owner }) => owner ?? []))];
}

/** The roles that an archive's privileges and policies name. */
export function granteesOf(entries: readonly TocEntry[]): string[] {
  return [
    ...new Set(entries.flatMap(({ description, definition }) => {
      if (description === "ACL") return rolesAfter(definition, ["TO", "FROM"]);
      if (description === "DEFAULT ACL") return rolesAfter(definition, ["TO", "FROM", "ROLE"]);
      // What follows USING is an expression, with words of its own.
      if (description === "POLICY") {
        return rolesAfter(definition.replace(/ (USING|WITH CHECK) [\s\S]*$/, ""), ["TO"]);
      }
      return [];
    })),
  ];
}

/** The tablespaces that an archive's objects are in. */
export function tablespacesOf(entries: readonly TocEntry[]): string[] {
  return [...new Set(entries.flatMap(({ tablespace }) => tablespace ?? []))];
}
