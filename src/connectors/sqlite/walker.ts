import { open } from "node:fs/promises";
import { join } from "node:path";
import { BackupError } from "../../core/errors.ts";
import type { Bytes } from "../../core/bytes.ts";
import { withTempDir } from "../../core/temp.ts";
import type { ArtifactFormat, Walker } from "../../contracts/format.ts";
import { checkFile } from "./check.ts";
import { type Header, headerBytes, parseHeader } from "./header.ts";

/** The format's id and the file name's ending. */
export const formatId = "sqlite";

/** A SQLite database file, as it is on disk; its counts come from the dump's own copy. */
export const sqliteFormat: ArtifactFormat = {
  id: formatId,
  suffix: "sqlite",
  walk,
  async nativeCheck(bytes, o) {
    await withTempDir(o.runtime, 0, async (folder) => {
      const path = join(folder, "check.db");
      await writeBytes(path, bytes);
      const { problems } = await checkFile(path, true, o);
      if (problems.length === 0) return;
      throw new BackupError(
        "verification/native-check",
        `SQLite finds the database damaged: ${problems.slice(0, 3).join("; ")}`,
        { details: { problems }, hint: "Restore another backup; this one was damaged when made." },
      );
    });
  },
};

/** Writes a new file of mode 0600, durable at the end. */
export async function writeBytes(path: string, bytes: Bytes): Promise<void> {
  const handle = await open(path, "wx", 0o600);
  try {
    for await (const chunk of bytes) {
      let written = 0;
      while (written < chunk.byteLength) {
        written += (await handle.write(chunk, written)).bytesWritten;
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Reads the header, then counts: a database is exactly as long as its header says. */
function walk(): Walker {
  const start = new Uint8Array(headerBytes);
  let seenBytes = 0;
  let header: Header | undefined;
  const expectedBytes = () =>
    header?.pages === undefined ? undefined : header.pages * header.pageBytes;
  return {
    push(chunk) {
      if (seenBytes < headerBytes) start.set(chunk.subarray(0, headerBytes - seenBytes), seenBytes);
      seenBytes += chunk.byteLength;
      if (seenBytes < headerBytes) return;
      header ??= parseHeader(start);
      if (header === undefined) throw structureError("has no SQLite header");
      const expected = expectedBytes();
      if (expected !== undefined && seenBytes > expected) {
        throw structureError(`goes on after its ${expected} bytes`);
      }
    },
    end() {
      const expected = expectedBytes();
      const isWhole = header !== undefined &&
        (expected === undefined ? seenBytes % header.pageBytes === 0 : seenBytes === expected);
      if (isWhole) return { databases: [] };
      const whole = expected === undefined ? "" : ` of ${expected}`;
      throw new BackupError(
        "verification/truncated",
        `The SQLite database ends after ${seenBytes}${whole} bytes`,
        { hint: "The copy is incomplete; use another backup." },
      );
    },
  };
}

function structureError(problem: string): BackupError {
  return new BackupError("verification/structure", `The SQLite database ${problem}`, {
    hint: "The bytes are not what was dumped; use another backup.",
  });
}
