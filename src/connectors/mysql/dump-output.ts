import type { Abortable, Bytes } from "../../core/bytes.ts";
import { ChildError, childOutput, type ChildSpec } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { MysqlAddress } from "./address.ts";
import type { FloatReader } from "./floats.ts";
import { type Relay, type RelayedQuery, withRelay } from "./relay.ts";
import { type ClientTool, complaint, toolSpec } from "./tools.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** How the dump tool is run. */
export interface DumpCommand {
  readonly tool: ClientTool;
  readonly address: MysqlAddress;
  /** Whether the connection is encrypted. */
  readonly isEncrypted: boolean;
  readonly args: readonly string[];
  /** As in DumpPlan. */
  readonly stallMs: number;
  /** Awaited while the tool has its snapshot, and still holds up all commits: only of MySQL's. */
  readonly onSnapshot?: (() => Promise<void>) | undefined;
}

/**
 * Runs the dump tool and hands its output to `use`. With a reader of FLOAT columns, or a snapshot to
 * wait for, the tool is led through this process: what it asks for the columns is asked exactly and in
 * its own snapshot. Where the server does not let it in that way, it goes on its own: the reader knows
 * what it missed, and nobody waits for the snapshot.
 *
 * @throws BackupError `dump/failed` from the bytes, and those of running a tool
 */
export async function withDumpOutput<T>(
  command: DumpCommand,
  floats: FloatReader | undefined,
  use: (bytes: Bytes) => Promise<T>,
  o: Context,
): Promise<T> {
  const { address, isEncrypted, onSnapshot } = command;
  if (floats === undefined && onSnapshot === undefined) {
    return await use(output(command, undefined, o));
  }
  const way = {
    address,
    isEncrypted,
    ...floats === undefined ? {} : { rewrite: floats.rewrite },
    ...onSnapshot === undefined ? {} : {
      // With this it lets commits go on, its snapshot taken and its place in the log read.
      before: ({ sql }: RelayedQuery) => sql === "UNLOCK TABLES" ? onSnapshot() : undefined,
    },
  };
  return await withRelay(way, o, (relay) => use(output(command, relay, o)));
}

/** The tool's output, with its failure as ours. */
async function* output(command: DumpCommand, relay: Relay | undefined, o: Context): Bytes {
  const { tool, address, isEncrypted, args, stallMs } = command;
  const direct = { ...toolSpec(tool, address, isEncrypted, args), stallMs };
  try {
    if (relay === undefined) yield* childOutput(direct, o);
    else {
      // Whether the server still answers is asked of the server itself.
      const alive = direct.alive === undefined ? {} : { alive: direct.alive };
      const relayed = { ...toolSpec(tool, relay.address, false, args), stallMs, ...alive };
      yield* relayedOutput(relayed, direct, relay, tool, o);
    }
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw new BackupError("dump/failed", `${tool.name} failed: ${complaint(error)}`, {
      cause: error,
      details: { stderr: error.exit.stderr },
      hint: "Its whole output is in the log at --log-level debug.",
    });
  }
}

async function* relayedOutput(
  relayed: ChildSpec,
  direct: ChildSpec,
  relay: Relay,
  { name }: ClientTool,
  o: Context,
): Bytes {
  let isBegun = false;
  try {
    for await (const chunk of childOutput(relayed, o)) {
      isBegun = true;
      yield chunk;
    }
  } catch (error) {
    if (isBegun || relay.isLoggedIn() || !(error instanceof ChildError)) throw error;
    const { stderr } = error.exit;
    o.runtime.log.warn("{name} was not let in through the relay: {stderr}", {
      name,
      stderr,
    });
    yield* childOutput(direct, o);
  }
}
