import type { Abortable, Bytes } from "../../../core/bytes.ts";
import { ChildError, childText } from "../../../core/child.ts";
import { BackupError } from "../../../core/errors.ts";
import type { Runtime } from "../../../core/runtime.ts";
import type { ArtifactFormat } from "../../../contracts/format.ts";
import { complaint, findToolSets, newestTools } from "../tools.ts";
import { join } from "node:path";
import { walkArchive } from "./walker.ts";

/** An archive of `pg_dump -Fc -Z0`: one database. */
export const archiveFormat: ArtifactFormat = {
  id: "pgdump",
  suffix: "pgdump",
  walk: walkArchive,
  nativeCheck,
};

/** Has pg_restore read the whole archive and print its SQL to nowhere: `-l` reads only the head. */
async function nativeCheck(bytes: Bytes, o: Abortable & { runtime: Runtime }): Promise<void> {
  const { folder, version } = newestTools(await findToolSets(undefined, o), "pg_restore");
  const spec = {
    command: join(folder, "pg_restore"),
    args: ["--file=/dev/null"],
    input: bytes,
  };
  try {
    await childText(spec, o);
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    // What this tool cannot look into is not damaged by that.
    if (error.exit.signal !== null || /unsupported version/.test(error.exit.stderr)) {
      throw new BackupError(
        "dump/tool-too-old",
        `pg_restore ${version} cannot look into the archive: ${complaint(error)}`,
        { cause: error, hint: "Install the PostgreSQL client of the version that was dumped." },
      );
    }
    throw new BackupError(
      "verification/native-check",
      `pg_restore cannot read the archive: ${complaint(error)}`,
      { cause: error, hint: "Use another backup." },
    );
  }
}
