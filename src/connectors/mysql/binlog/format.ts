import { Buffer } from "node:buffer";
import type { ArtifactFormat } from "../../../contracts/format.ts";
import { identify } from "../statements.ts";
import { binlogError } from "./event.ts";
import { createEventReader } from "./reader.ts";
import { createTracker } from "./transactions.ts";
import { BackupError } from "../../../core/errors.ts";

/**
 * A piece of a binary log: a file of the server's, or one that begins later, with the description of
 * the whole in front. mysqlbinlog and mariadb-binlog read it.
 */
export const binlogFormat: ArtifactFormat = {
  id: "binlog",
  suffix: "binlog",
  walk() {
    const reader = createEventReader();
    const tracker = createTracker();
    const made = new Set<string>();
    return {
      push(chunk) {
        for (const event of reader.push(chunk)) {
          const { query } = tracker.see(event);
          if (query === undefined) continue;
          const statement = identify(query.sql.slice(0, 4096));
          if (statement.does === "create-database") made.add(utf8Of(statement.database));
        }
      },
      end() {
        if (!reader.isBetweenEvents()) {
          throw new BackupError(
            "verification/truncated",
            "The binary log ends in the middle of an event",
            { hint: "Use another copy or another backup." },
          );
        }
        if (tracker.isInside()) throw binlogError("ends in the middle of a transaction");
        return { databases: [...made].map((database) => ({ database, objects: [] })) };
      },
    };
  },
};

/** Text of a log is kept byte by byte. */
export function utf8Of(bytes: string): string {
  const text = Buffer.from(bytes, "latin1").toString("utf8");
  // A session in another character set.
  return text.includes("\ufffd") ? bytes : text;
}
