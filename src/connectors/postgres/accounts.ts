import { Buffer } from "node:buffer";
import type { Abortable } from "../../core/bytes.ts";
import { ChildError, childText } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { ArtifactFormat } from "../../contracts/format.ts";
import type { Address } from "./address.ts";
import type { Server } from "./server.ts";
import { complaint, type ToolSet, toolSpec } from "./tools.ts";

const head = "-- PostgreSQL database cluster dump";
const trailer = "-- PostgreSQL database cluster dump complete";
// The head is among the first bytes.
const headBytes = 200;
// Only line breaks and psql's \unrestrict come after the trailer.
const tailBytes = 4096;
// The roles of a server are a matter of kilobytes.
const limitBytes = 256 * 1024 * 1024;

/** What `pg_dumpall --globals-only` prints: roles, memberships and tablespaces, as SQL. */
export const accountsFormat: ArtifactFormat = {
  id: "pgglobals",
  suffix: "sql",
  walk() {
    let start = "";
    let tail = Buffer.alloc(0);
    return {
      push(chunk) {
        if (start.length < headBytes) {
          start += Buffer.from(chunk.subarray(0, headBytes)).toString("latin1");
        }
        tail = Buffer.concat([tail, chunk.subarray(-tailBytes)]).subarray(-tailBytes);
      },
      end() {
        if (start.length >= headBytes && !start.includes(head)) {
          throw new BackupError("verification/structure", "The roles do not begin as they should", {
            hint: "The bytes are not what pg_dumpall wrote; use another backup.",
          });
        }
        const text = tail.toString("latin1");
        const at = text.lastIndexOf(`${trailer}\n`);
        if (at >= 0 && /\n\n$/.test(text)) return { databases: [] };
        throw new BackupError("verification/truncated", "The roles are cut off: no end is there", {
          hint: "The dump did not come to its end; make it again, or use another backup.",
        });
      },
    };
  },
};

/**
 * Reads roles, memberships and tablespaces with pg_dumpall.
 *
 * @param database one that lets this user in
 * @throws BackupError `dump/failed`, `dump/stalled`
 */
export async function readAccounts(
  tools: ToolSet,
  server: Server,
  address: Address,
  database: string,
  o: Abortable & { runtime: Runtime; stallMs: number },
): Promise<string> {
  const args = [
    "--globals-only",
    `--database=${database}`,
    ...server.isSuperuser ? [] : ["--no-role-passwords"],
  ];
  const spec = { ...toolSpec(tools, "pg_dumpall", address, database, args), stallMs: o.stallMs };
  try {
    return (await childText(spec, { ...o, limitBytes })).stdout;
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw new BackupError("dump/failed", `pg_dumpall failed: ${complaint(error)}`, {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: "Its whole output is in the log at --log-level debug.",
    });
  }
}
