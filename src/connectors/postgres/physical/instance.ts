import { Buffer } from "node:buffer";
import { existsSync } from "node:fs";
import { chmod, chown, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Abortable, type Bytes, bytesOf } from "../../../core/bytes.ts";
import { ChildError, childOutput, type ChildSpec, childText } from "../../../core/child.ts";
import { BackupError } from "../../../core/errors.ts";
import { sleep } from "../../../core/retry.ts";
import type { Runtime } from "../../../core/runtime.ts";
import { memoryFolder, withTempDir } from "../../../core/temp.ts";
import { type Address, socketName } from "../address.ts";
import { connect } from "../connect.ts";
import { sqlState } from "../failure.ts";
import type { ToolSet } from "../tools.ts";
import { makeFolder, type ServerUser } from "./server-user.ts";

type Context = Abortable & { readonly runtime: Runtime };

/** A data directory and the programs that read it. */
export interface InstanceSetup {
  readonly tools: ToolSet;
  readonly dataDir: string;
  /** For its socket and configuration; a new folder inside is made. */
  readonly folder: string;
  readonly user: ServerUser | undefined;
  /** Settings that win over all in the data directory. */
  readonly settings: Readonly<Record<string, string>>;
}

// The path of a socket has 107 bytes on Linux, 103 elsewhere.
const longestSocketPath = 103;
const port = 5432;
const pollMs = 100;

// Says when the server has ended, and ends it when we are gone, however: our end of its standard input closes with us. A shell
// lets what it runs in the background ignore SIGINT; the server takes it nevertheless.
const script = `
exec 3<&0
"$@" </dev/null >/dev/null &
server=$!
{ cat <&3 >/dev/null 2>&1; kill -INT $server; } 2>/dev/null &
watcher=$!
wait $server
status=$?
kill $watcher 2>/dev/null
echo ended
exit $status`;

/**
 * Starts a private server on a data directory, of which nobody else hears: its only way in is a socket
 * in a folder of ours. It is ended in any case, also where this process is killed.
 *
 * @param use is run once it takes connections
 * @throws BackupError `restore/failed` where it ends by itself, with what it logged in details.log
 */
export async function withInstance<T>(
  setup: InstanceSetup,
  use: (address: Address) => Promise<T>,
  o: Context,
): Promise<T> {
  const { folder, socket } = await prepare(setup);
  const closing = Promise.withResolvers<void>();
  const failing = new AbortController();
  const signal = AbortSignal.any([o.signal, failing.signal]);
  const running = run(setup, folder, socket, closing, o).then(
    () => failing.abort(diedOf("", setup)),
    (error) =>
      failing.abort(error instanceof ChildError ? diedOf(error.exit.stderr, setup) : error),
  );
  try {
    const address = await untilReady(addressOf(socket, setup), { ...o, signal });
    return await use(address);
  } catch (error) {
    o.signal.throwIfAborted();
    throw failing.signal.aborted ? failing.signal.reason : error;
  } finally {
    closing.resolve();
    await running;
  }
}

/** Asks a server that does not run, in its single-user mode. @returns what it printed */
export async function askAlone(
  setup: InstanceSetup,
  query: string,
  o: Context,
): Promise<string> {
  const { tools, dataDir, user } = setup;
  const { folder, socket } = await prepare(setup);
  const { stdout } = await childText({
    command: join(tools.folder, "postgres"),
    args: [
      ...["--single", "-D", dataDir],
      ...settingArgs(setup, folder, socket),
      "template1",
    ],
    cwd: "/",
    env: { LC_ALL: "C" },
    input: bytesOf(`${query}\n`),
    ...user === undefined ? {} : { user },
  }, o);
  return stdout;
}

/** The folders, closed to others, with a configuration that takes the place of the server's own. */
async function prepare(
  { folder: parent, user }: InstanceSetup,
): Promise<{ folder: string; socket: string }> {
  const folder = join(parent, "instance");
  const socket = join(folder, "s");
  for (const one of [folder, socket]) await makeFolder(one, user);
  await writeFile(join(folder, "postgresql.conf"), "");
  await writeFile(join(folder, "pg_hba.conf"), "local all all trust\n");
  await writeFile(join(folder, "pg_ident.conf"), "");
  if (user !== undefined) {
    for (const one of ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"]) {
      await chown(join(folder, one), user.uid, user.gid);
    }
  }
  return { folder, socket };
}

/**
 * Runs `use` with a folder for {@link InstanceSetup.folder}: the one given, or, where its path is too
 * long for a socket, one with a short path that is removed afterwards.
 */
export async function withSocketFolder<T>(
  folder: string,
  user: ServerUser | undefined,
  use: (folder: string) => Promise<T>,
  { runtime }: Context,
): Promise<T> {
  const path = join(folder, "instance", "s", socketName(port));
  if (Buffer.byteLength(path) <= longestSocketPath) return await use(folder);
  const tempDir = existsSync(memoryFolder) ? memoryFolder : "/tmp";
  return await withTempDir({ ...runtime, tempDir }, 0, async (short) => {
    if (user !== undefined) await chmod(short, 0o711);
    return await use(short);
  });
}

async function run(
  setup: InstanceSetup,
  folder: string,
  socket: string,
  closing: PromiseWithResolvers<void>,
  o: Context,
): Promise<void> {
  const { tools, dataDir, user } = setup;
  const spec: ChildSpec = {
    command: "/bin/sh",
    args: [
      ...["-c", script, "dbbackup", join(tools.folder, "postgres"), "-D", dataDir],
      ...settingArgs(setup, folder, socket),
    ],
    cwd: "/",
    env: { LC_ALL: "C" },
    input: untilClosed(closing.promise),
    ...user === undefined ? {} : { user },
  };
  // Its input is ours, and would be waited for.
  for await (const _ of childOutput(spec, o)) closing.resolve();
}

function settingArgs(
  { tools, settings }: InstanceSetup,
  folder: string,
  socket: string,
): string[] {
  return Object.entries({ ...quietSettings(folder, socket, tools.major), ...settings })
    .flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/** What the server must not do as its data directory says: it is a copy. */
function quietSettings(folder: string, socket: string, major: number): Record<string, string> {
  return {
    config_file: join(folder, "postgresql.conf"),
    hba_file: join(folder, "pg_hba.conf"),
    ident_file: join(folder, "pg_ident.conf"),
    external_pid_file: "",
    listen_addresses: "",
    unix_socket_directories: socket,
    unix_socket_group: "",
    unix_socket_permissions: "0700",
    port: String(port),
    ssl: "off",
    // It never writes into the archive of the server that it is a copy of, and waits for no standby.
    archive_mode: "off",
    archive_command: "",
    ...major >= 15 ? { archive_library: "" } : {},
    synchronous_standby_names: "",
    max_wal_senders: "0",
    hot_standby: "off",
    restore_command: "",
    recovery_end_command: "",
    archive_cleanup_command: "",
    recovery_min_apply_delay: "0",
    primary_conninfo: "",
    // Their files may not be here; nothing is to work in the background.
    shared_preload_libraries: "",
    session_preload_libraries: "",
    local_preload_libraries: "",
    autovacuum: "off",
    logging_collector: "off",
    log_destination: "stderr",
    log_min_messages: "warning",
    lc_messages: "C",
    max_connections: "30",
    superuser_reserved_connections: "3",
    shared_buffers: "128MB",
    huge_pages: "off",
    dynamic_shared_memory_type: "mmap",
    ...major >= 18 ? { io_method: "sync" } : {},
    statement_timeout: "0",
    lock_timeout: "0",
  };
}

async function* untilClosed(closing: Promise<void>): Bytes {
  await closing;
  yield* [];
}

function addressOf(socket: string, { tools }: InstanceSetup): Address {
  return {
    label: "the private server",
    hosts: [{ host: socket, port }],
    user: "postgres",
    selected: undefined,
    tls: { mode: "disable", ca: undefined, cert: undefined, key: undefined },
    connectTimeoutMs: 30_000,
    answerTimeoutMs: 120_000,
    onSilence: () => {},
    parameters: {},
    toolsDir: tools.folder,
    passFile: undefined,
    password: () => undefined,
  };
}

/** Recovery may take hours; it is waited for as long as the server runs. */
async function untilReady(address: Address, o: Context): Promise<Address> {
  for (;;) {
    o.signal.throwIfAborted();
    try {
      const sql = await connect(address, "template1", o);
      await sql.end({ timeout: 1 }).catch(() => {});
      return address;
    } catch (error) {
      o.signal.throwIfAborted();
      const state = sqlState(error);
      // It answers, and does not let this one in: it is up.
      if (state === noSuchRole) return address;
      if (state !== undefined && state !== notYet) throw error;
    }
    await sleep(pollMs, o.signal);
  }
}

const notYet = "57P03";
const noSuchRole = "28000";

function diedOf(log: string, { dataDir }: InstanceSetup): BackupError {
  const lines = log.split("\n").filter((line) => /(FATAL|PANIC|ERROR|HINT|could not):?/.test(line));
  const said = lines.map((line) => line.replace(/^.*?(FATAL|PANIC|ERROR): +/, ""));
  return new BackupError(
    "restore/failed",
    `The private server on the restored files ended: ${said.at(-1) ?? "it said nothing"}`,
    {
      hint: /locale/.test(log)
        ? "Install the locale on this machine, or restore on one that has it."
        : "--log-level debug shows all that it logged.",
      details: { log, dataDir },
    },
  );
}
