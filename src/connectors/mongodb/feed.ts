import type { SignOfLife } from "../../core/alive.ts";
import type { Abortable, Bytes } from "../../core/bytes.ts";
import { ChildError, childText } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import { counted, formatBytes } from "../../core/text.ts";
import type { Runtime } from "../../core/runtime.ts";
import { complaint, toolSpec } from "./tools.ts";
import type { MongoAddress } from "./uri.ts";

/** What runs mongorestore. */
export interface Feeding {
  readonly tool: string;
  readonly address: MongoAddress;
  readonly alive: SignOfLife;
  /** The collection whose documents mongorestore got last, for a line on a long silence. */
  readonly at?: () => string | undefined;
  /** Milliseconds of silence that are told, and then each time they have doubled; default 15,000. */
  readonly silentMs?: number;
}

/** What mongorestore says at its end. */
export interface FeedOutcome {
  readonly failedDocuments: number;
  /** The end of its log. */
  readonly log: string;
}

const defaultSilentMs = 15_000;

/**
 * Gives an archive to mongorestore.
 *
 * @throws BackupError `restore/failed` when it fails or says nothing at its end,
 * `connection/silent`; what reading the bytes throws
 */
export async function feed(
  { tool, address, alive, at, silentMs = defaultSilentMs }: Feeding,
  bytes: Bytes,
  flags: readonly string[],
  o: Abortable & { readonly runtime: Runtime },
): Promise<FeedOutcome> {
  const input = told(bytes, silentMs, (fedBytes, seconds) => {
    const where = at?.();
    o.runtime.log.info(
      "mongorestore has taken nothing for {seconds} s, after {fed}{where}: it works on what it has " +
        "(large binary documents take it long, and indexes come last), and the server answers",
      { seconds, fed: formatBytes(fedBytes), where: where === undefined ? "" : `, in "${where}"` },
    );
  });
  const spec = { ...toolSpec(tool, address, ["--archive", ...flags]), input: input.bytes, alive };
  try {
    const { stderr } = await childText(spec, o);
    const failed = /(\d+) document\(s\) failed to restore/.exec(stderr)?.[1];
    if (failed !== undefined) return { failedDocuments: Number(failed), log: stderr };
    throw new BackupError("restore/failed", "mongorestore ended without its summary", {
      details: { stderr },
      hint: "Its whole output is in the log at --log-level debug.",
    });
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw new BackupError("restore/failed", `mongorestore failed: ${complaint(error)}`, {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: hintFor(error.exit.stderr),
    });
  } finally {
    input.stop();
  }
}

/** mongorestore counts failed documents and exits 0 all the same. */
export function assertAllRestored({ failedDocuments, log }: FeedOutcome): void {
  if (failedDocuments === 0) return;
  throw new BackupError(
    "restore/failed",
    `mongorestore could not restore ${counted(failedDocuments, "document")}`,
    { details: { stderr: log }, hint: "Its whole output is in the log at --log-level debug." },
  );
}

/** Tells how long nothing was taken, ever more rarely. */
function told(
  bytes: Bytes,
  silentMs: number,
  tell: (fedBytes: number, seconds: number) => void,
): { bytes: Bytes; stop(): void } {
  let fedBytes = 0;
  let takenAt = performance.now();
  let nextMs = silentMs;
  const timer = setInterval(() => {
    const silent = performance.now() - takenAt;
    if (silent < nextMs) return;
    tell(fedBytes, Math.round(silent / 1000));
    nextMs *= 2;
  }, Math.min(1_000, silentMs));
  timer.unref?.();
  return {
    bytes: (async function* () {
      for await (const chunk of bytes) {
        fedBytes += chunk.byteLength;
        yield chunk;
        takenAt = performance.now();
        nextMs = silentMs;
      }
    })(),
    stop: () => clearInterval(timer),
  };
}

function hintFor(stderr: string): string {
  return /not authorized|requires authentication/i.test(stderr)
    ? "Grant the user the roles restore and readAnyDatabase; to replay some entries of an oplog it " +
      "also needs anyAction on anyResource."
    : /applyOps/.test(stderr)
    ? "The server does not replay an oplog, as managed services do not. Restore with --keep-going: " +
      "what was written while the dump ran is then left out."
    : "Its whole output is in the log at --log-level debug. To restore what can be, use --keep-going.";
}
