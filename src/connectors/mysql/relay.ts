import { Buffer } from "node:buffer";
import { createServer, isIP, type Server as NetServer, type Socket } from "node:net";
import { join } from "node:path";
import { checkServerIdentity, connect as connectTls } from "node:tls";
import type { Abortable } from "../../core/bytes.ts";
import { withTempDir } from "../../core/temp.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { MysqlAddress } from "./address.ts";
import { openSocket, sslOptions } from "./driver.ts";
import { createPacketReader, encodePacket, type Packet } from "./packets.ts";

/** A statement that a tool is about to send. */
export interface RelayedQuery {
  /** The database that the tool's session is in. */
  readonly database: string;
  readonly sql: string;
}

/** Where a relay leads, and what it does. */
export interface RelayWay {
  readonly address: MysqlAddress;
  readonly isEncrypted: boolean;
  /** Gives the statement to send instead. */
  rewrite?(query: RelayedQuery): string;
  /** Something to wait for before a statement is sent. */
  before?(query: RelayedQuery): Promise<void> | undefined;
}

/** A way to a server that leads through this process. */
export interface Relay {
  /** Where the tool connects: this machine, without TLS. */
  readonly address: MysqlAddress;
  /** Whether the server has let the tool in. */
  isLoggedIn(): boolean;
}

// What a Unix socket's name may be long, on every system.
const longestSocket = 100;

/**
 * Runs `use` with a relay, through which a tool talks to a server with some of its statements
 * changed, or waited with: only so can they run in the tool's own snapshot. What the server answers passes as it is.
 *
 * To the server it speaks as the address says, over TLS or not. The tool comes over a Unix socket in a
 * folder that only this user can enter; where the server is reached over plain TCP, over plain TCP,
 * so that both think the same of how a password may travel.
 *
 * @param way the server, and what becomes of the tool's statements
 */
export async function withRelay<T>(
  way: RelayWay,
  o: Abortable & { readonly runtime: Runtime },
  use: (relay: Relay) => Promise<T>,
): Promise<T> {
  const { address, isEncrypted } = way;
  return await withTempDir(o.runtime, 0, async (folder) => {
    const path = join(folder, "s");
    const isSocket = (isEncrypted || address.socket !== undefined) &&
      path.length <= longestSocket && o.runtime.env["OS"] !== "Windows_NT";
    const open = new Set<Socket>();
    let isLoggedIn = false;
    const server = createServer((tool) => {
      const close = relay(tool, way, {
        onLogin: () => isLoggedIn = true,
        onOpen(socket) {
          open.add(socket);
          socket.on("close", () => open.delete(socket));
        },
      });
      tool.on("error", close).on("close", close);
    });
    try {
      const port = await listen(server, isSocket ? { path } : { host: "127.0.0.1", port: 0 });
      const place = isSocket ? { socket: path } : { socket: undefined, host: "127.0.0.1", port };
      return await use({ address: { ...address, ...place }, isLoggedIn: () => isLoggedIn });
    } finally {
      server.close();
      for (const socket of open) socket.destroy();
    }
  });
}

async function listen(
  server: NetServer,
  where: { path: string } | { host: string; port: number },
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.on("error", reject);
  server.listen(where, resolve);
  await promise;
  const place = server.address();
  return typeof place === "object" && place !== null ? place.port : 0;
}

/** Capabilities, https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html */
const usesTls = 1 << 11;
/** What a server offers that would keep us from reading along: compression, TLS, attributes. */
const hidden = (1 << 5) | usesTls | (1 << 26) | (1 << 27);

const okPacket = 0x00;
const errorPacket = 0xff;
const initDb = 0x02;
const query = 0x03;
// The first packet of a client's answer, up to the name: with no more it asks for TLS.
const tlsRequestBytes = 32;

/** Connects a tool with the server. @returns ends both */
function relay(
  tool: Socket,
  { address, isEncrypted, rewrite, before }: RelayWay,
  { onLogin, onOpen }: {
    readonly onLogin: () => void;
    readonly onOpen: (socket: Socket) => void;
  },
): () => void {
  const fromTool = createPacketReader();
  const fromServer = createPacketReader();
  /** How far the sequence to the server is ahead: it had a request for TLS more. */
  let ahead = 0;
  let isGreeted = false;
  let isAnswered = false;
  let isLoggedIn = false;
  /** Set while TLS is being agreed upon. */
  let isWaiting = false;
  let database = "";
  let server = openSocket(address);
  const close = () => {
    tool.destroy();
    server.destroy();
  };
  onOpen(tool);
  attach();

  function attach(): void {
    onOpen(server);
    // What the server said last has to arrive: why it lets nobody in.
    const end = () => tool.end();
    server.on("data", hearServer).on("error", close).on("close", end).on("end", end);
    server.on("drain", () => tool.resume());
  }

  function hearServer(chunk: Uint8Array): void {
    if (isLoggedIn) {
      if (!tool.write(chunk)) server.pause();
      return;
    }
    fromServer.push(chunk);
    for (let packet = fromServer.next(); packet !== undefined; packet = fromServer.next()) {
      const { payload } = packet;
      if (!isGreeted) {
        isGreeted = true;
        hideCapabilities(payload);
      } else if (payload[0] === okPacket) {
        isLoggedIn = true;
        onLogin();
      }
      tool.write(encodePacket({ payload, sequence: packet.sequence - ahead }));
      if (isLoggedIn) break;
    }
    if (isLoggedIn) tool.write(fromServer.rest());
  }

  function hearTool(chunk: Uint8Array): void {
    fromTool.push(chunk);
    if (!isWaiting) passOn().catch(close);
  }

  async function passOn(): Promise<void> {
    for (let packet = fromTool.next(); packet !== undefined; packet = fromTool.next()) {
      if (isLoggedIn) {
        const asked = queryIn(packet);
        const waiting = asked === undefined ? undefined : before?.(asked);
        if (waiting !== undefined) {
          isWaiting = true;
          await waiting.finally(() => isWaiting = false);
        }
        send(asked === undefined ? packet : command(packet, asked));
        continue;
      }
      if (!isAnswered) {
        isAnswered = true;
        // A client may claim what the server does not offer, and the server believes it.
        setCapabilities(packet.payload, isEncrypted);
        isWaiting = true;
        if (isEncrypted) await agreeOnTls(packet);
        isWaiting = false;
      }
      send({ ...packet, sequence: packet.sequence + ahead });
    }
  }

  async function agreeOnTls({ sequence, payload }: Packet): Promise<void> {
    ahead = 1;
    send({ sequence, payload: payload.subarray(0, tlsRequestBytes) });
    const { verifyIdentity, ...options } = await sslOptions(address);
    const plain = server;
    plain.removeAllListeners("data").removeAllListeners("end").removeAllListeners("close");
    server = connectTls({
      ...options,
      socket: plain,
      host: address.host,
      ...isIP(address.host) === 0 ? { servername: address.host } : {},
      checkServerIdentity: verifyIdentity ? checkServerIdentity : () => undefined,
    });
    attach();
  }

  function send(packet: Packet): void {
    if (!server.write(encodePacket(packet))) tool.pause();
  }

  /** The statement in a packet; what is no beginning of an exchange is the rest of a longer one. */
  function queryIn({ sequence, payload }: Packet): RelayedQuery | undefined {
    if (sequence !== 0) return undefined;
    const text = payload.toString("utf8", 1);
    if (payload[0] === initDb) database = text;
    if (payload[0] !== query) return undefined;
    const used = /^use `((?:[^`]|``)*)`$/i.exec(text)?.[1];
    if (used !== undefined) database = used.replaceAll("``", "`");
    return { database, sql: text };
  }

  function command({ sequence, payload }: Packet, asked: RelayedQuery): Packet {
    const sql = rewrite?.(asked) ?? asked.sql;
    if (sql === asked.sql) return { sequence, payload };
    return { sequence, payload: Buffer.concat([payload.subarray(0, 1), Buffer.from(sql)]) };
  }

  tool.on("drain", () => server.resume());
  tool.on("data", hearTool);
  return close;
}

/**
 * The greeting of a server: protocol, version up to a zero byte, connection id (4), a part of the
 * scramble (8) and a filler, half of the capabilities (2), charset (1), status (2), the other half.
 * A refusal instead of a greeting has none.
 */
function hideCapabilities(payload: Buffer): void {
  const end = payload.indexOf(0, 1);
  if (payload[0] === errorPacket || end < 0 || payload.length < end + 21) return;
  const low = end + 14;
  const high = low + 5;
  payload.writeUInt16LE(payload.readUInt16LE(low) & ~hidden & 0xffff, low);
  payload.writeUInt16LE(payload.readUInt16LE(high) & (~hidden >>> 16) & 0xffff, high);
}

/** The answer to a greeting begins with all capabilities, in MariaDB's protocol too. */
function setCapabilities(payload: Buffer, isEncrypted: boolean): void {
  if (payload.length < tlsRequestBytes) return;
  payload.writeUInt32LE(
    ((payload.readUInt32LE(0) & ~hidden) | (isEncrypted ? usesTls : 0)) >>> 0,
    0,
  );
}
