import { chmod } from "node:fs/promises";
import { join } from "node:path";
import type { Abortable } from "../../../core/bytes.ts";
import type { Runtime } from "../../../core/runtime.ts";
import type { Address } from "../address.ts";
import type { ToolSet } from "../tools.ts";
import type { PhysicalChain } from "./chain.ts";
import { withSocketFolder } from "./instance.ts";
import { verifyFiles, withRecovered } from "./recovery.ts";
import { makeFolder, serverUser } from "./server-user.ts";
import { unpack } from "./unpack.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** The programs that a restore of files needs. */
export const serverPrograms = ["postgres", "pg_controldata", "pg_verifybackup"] as const;

/** Where files are restored to, and with what. */
export interface FilesOrder {
  readonly tools: ToolSet;
  /** Is made; what becomes the data directory. */
  readonly dataDir: string;
  /** A folder of ours for the log and the server's socket, removed by the caller. */
  readonly folder: string;
  /** Whether the files are to last longer than this process. */
  readonly isKept: boolean;
}

/**
 * Unpacks a chain, checks the files by PostgreSQL's own list of them, and has a private server replay
 * the log up to where it is asked to.
 *
 * @param use gets the server while it runs
 * @throws BackupError `restore/failed`, `verification/native-check`, those of reading the artifacts
 */
export async function withFiles<T>(
  { base, logs, end, until }: PhysicalChain,
  { tools, dataDir, folder, isKept }: FilesOrder,
  use: (address: Address) => Promise<T>,
  o: Context,
): Promise<T> {
  const user = await serverUser();
  const walDir = join(folder, "wal");
  // The server's user has to get through, to what is its own.
  if (user !== undefined) await chmod(folder, 0o711);
  await makeFolder(dataDir, user);
  await makeFolder(walDir, user);
  await unpack(base.open(o), dataDir, user);
  await verifyFiles(tools, dataDir, o);
  for (const log of logs) await unpack(log.open(o), walDir, user);
  return await withSocketFolder(folder, user, (short) => {
    const recovery = { tools, dataDir, walDir, folder: short, user, end, until, isKept };
    return withRecovered(recovery, use, o);
  }, o);
}
