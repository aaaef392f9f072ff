import { Buffer } from "node:buffer";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A request as the proxy saw it. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query, as they stood on the wire. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
}

/** An answer, of the store or made up. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What happens to one request. Counts are bytes of the body as it is on the wire. */
export type Fault =
  /** The connection is reset before the store hears of the request. */
  | { readonly kind: "refuse" }
  /** The store gets so much of the request's body, then both connections break. */
  | { readonly kind: "cut-request"; readonly afterBytes: number }
  /** The client gets so much of the answer's body, then both connections break. */
  | { readonly kind: "cut-answer"; readonly afterBytes: number }
  /** So much of the request's body is taken, then nothing happens until the client gives up. */
  | { readonly kind: "stall-request"; readonly afterBytes: number }
  /**
   * So much of the answer's body is given, then nothing happens until the client gives up; less than
   * 0 for not even its head.
   */
  | { readonly kind: "stall-answer"; readonly afterBytes: number }
  /** Both directions go on at this speed. */
  | { readonly kind: "slow"; readonly bytesPerSecond: number }
  /** The store hears of nothing; the client gets this. With `isEarly`, before its body was read. */
  | { readonly kind: "answer"; readonly answer: Answer; readonly isEarly?: boolean }
  /** The store does it all, and the connection breaks before its answer. */
  | { readonly kind: "lose-answer" }
  /** The store's answer is replaced: how a store lies about what it has got. */
  | { readonly kind: "alter-answer"; alter(answer: Required<Answer>): Answer }
  /** One bit of the request's body is turned over at this place, as bad memory does. */
  | { readonly kind: "flip-request"; readonly offset: number }
  /** One bit of the answer's body is turned over. */
  | { readonly kind: "flip-answer"; readonly offset: number }
  /** Told of the request, which then goes on as if nothing were. */
  | { readonly kind: "watch"; seen(): void | Promise<void> };

/** Which requests a fault is for. */
export interface Rule {
  readonly method?: string | RegExp;
  /** What the path and query match; default any. */
  readonly path?: string | RegExp;
  /** The first matching request that it strikes, from 1. @default {1} */
  readonly nth?: number;
  /** How many matching requests it strikes from there on. @default {1} */
  readonly times?: number;
  readonly fault: Fault;
}

/** Stands between a client and a store and makes the network fail as told. */
export interface FaultProxy {
  readonly port: number;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Every request so far. */
  readonly requests: readonly SeenRequest[];
  /** How many requests were struck by a fault so far: a test that counts on one checks this. */
  readonly struck: number;
  /** The first rule that matches a request counts; requests that none matches pass untouched. */
  fail(...rules: readonly Rule[]): void;
  /** Drops all rules and what they hold up. */
  heal(): void;
  /** The store's clock in answers (`Date`) is this much off. @default {0} */
  skewMs: number;
  close(): Promise<void>;
}

/**
 * Starts a proxy on a free port of 127.0.0.1 in front of a store that speaks HTTP/1.1 without TLS.
 * Each connection carries one request, so that whatever a fault breaks breaks nothing else.
 */
export async function faultProxy(storePort: number): Promise<FaultProxy> {
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  let rules: { readonly rule: Rule; seen: number }[] = [];
  let struck = 0;
  let released = new AbortController();

  function faultOf(request: SeenRequest): Fault | undefined {
    for (const entry of rules) {
      const { method, path, nth = 1, times = 1, fault } = entry.rule;
      if (!matches(method, request.method) || !matches(path, request.path)) continue;
      entry.seen++;
      if (entry.seen < nth || entry.seen >= nth + times) continue;
      struck++;
      return fault;
    }
    return undefined;
  }

  const server = createServer((client) => {
    keep(client);
    serve(client).catch(() => client.destroy());
  });

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  }

  async function serve(client: Socket): Promise<void> {
    const fromClient = chunksOf(client);
    const head = await readHead(fromClient);
    if (head === undefined) return void client.destroy();
    const request = parseRequest(head.lines);
    requests.push(request);
    const body = withFirst(head.rest, fromClient);
    const fault = faultOf(request);
    if (fault?.kind === "watch") await fault.seen();
    if (fault?.kind === "refuse") return void client.resetAndDestroy();
    if (fault?.kind === "answer") return await answer(client, request, body, fault);
    await forward(client, head.lines, body, fault);
  }

  async function answer(
    client: Socket,
    request: SeenRequest,
    body: AsyncGenerator<Buffer>,
    { answer, isEarly = false }: Extract<Fault, { kind: "answer" }>,
  ): Promise<void> {
    if (!isEarly) {
      if (request.headers.has("expect")) client.write("HTTP/1.1 100 Continue\r\n\r\n");
      await drainBody(request, body);
    }
    client.end(formatAnswer(answer, api.skewMs));
  }

  async function forward(
    client: Socket,
    lines: readonly string[],
    body: AsyncGenerator<Buffer>,
    fault: Fault | undefined,
  ): Promise<void> {
    const store = connect(storePort, "127.0.0.1");
    keep(store);
    client.on("close", () => store.destroy());
    const breakBoth = () => {
      store.destroy();
      client.destroy();
    };
    const head = lines.filter((line) => !/^connection:/i.test(line));
    await write(store, Buffer.from([...head, "Connection: close", "", ""].join("\r\n"), "latin1"));
    const sending = send(store, body, fault, released.signal).then((isWhole) => {
      if (!isWhole) breakBoth();
    });
    // A store that answers early stops reading, which is no reason to keep its answer back.
    sending.catch(() => {});
    await receive(client, store, fault, { skewMs: api.skewMs, released: released.signal });
    client.end();
    // Bytes that are left unread would make the kernel reset the connection, answer and all.
    while (!(await body.next()).done);
  }

  const port = await listen(server);
  const api: FaultProxy = {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    get struck() {
      return struck;
    },
    fail(...more) {
      rules.push(...more.map((rule) => ({ rule, seen: 0 })));
    },
    heal() {
      rules = [];
      released.abort();
      released = new AbortController();
    },
    skewMs: 0,
    async close() {
      released.abort();
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return api;
}

function matches(wanted: string | RegExp | undefined, text: string): boolean {
  if (wanted === undefined) return true;
  return typeof wanted === "string" ? text.includes(wanted) : wanted.test(text);
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

/** A socket's bytes; unlike its own iterator, ending early leaves it open. */
async function* chunksOf(socket: Socket): AsyncGenerator<Buffer> {
  const queue: Buffer[] = [];
  let isOver = false;
  let wake = () => {};
  socket.on("data", (chunk: Buffer) => {
    queue.push(chunk);
    socket.pause();
    wake();
  });
  const end = () => {
    isOver = true;
    wake();
  };
  socket.on("end", end);
  socket.on("close", end);
  while (true) {
    const chunk = queue.shift();
    if (chunk !== undefined) yield chunk;
    else if (isOver) return;
    else {
      socket.resume();
      await new Promise<void>((resolve) => wake = resolve);
    }
  }
}

async function* withFirst(
  first: Buffer,
  rest: AsyncGenerator<Buffer>,
): AsyncGenerator<Buffer> {
  if (first.byteLength > 0) yield first;
  yield* rest;
}

/** Lines up to the empty one, and what came behind it; undefined when the peer went before. */
async function readHead(
  chunks: AsyncGenerator<Buffer>,
  before: Buffer = Buffer.alloc(0),
): Promise<{ lines: string[]; rest: Buffer } | undefined> {
  let text: Buffer = before;
  while (true) {
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) {
      return {
        lines: text.subarray(0, end).toString("latin1").split("\r\n"),
        rest: text.subarray(end + 4),
      };
    }
    const next = await chunks.next();
    if (next.done) return undefined;
    text = Buffer.concat([text, next.value]);
  }
}

function parseRequest([first = "", ...lines]: readonly string[]): SeenRequest {
  const [method = "", path = ""] = first.split(" ");
  return { method, path, headers: parseHeaders(lines) };
}

function parseHeaders(lines: readonly string[]): Map<string, string> {
  return new Map(lines.map((line) => {
    const at = line.indexOf(":");
    return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
  }));
}

/** Reads a request's body to its end, which the framing tells. */
async function drainBody(request: SeenRequest, body: AsyncGenerator<Buffer>): Promise<void> {
  const isChunked = /chunked/i.test(request.headers.get("transfer-encoding") ?? "");
  let left = isChunked ? Infinity : Number(request.headers.get("content-length") ?? 0);
  let tail = "";
  while (left > 0) {
    const next = await body.next();
    if (next.done) return;
    left -= next.value.byteLength;
    tail = (tail + next.value.subarray(-1_000).toString("latin1")).slice(-1_000);
    if (isChunked && /(^|\r\n)0\r\n([^\r\n]+\r\n)*\r\n$/.test(tail)) return;
  }
}

function formatAnswer({ status, headers = {}, body = "" }: Answer, skewMs = 0): Buffer {
  const content = Buffer.from(body);
  const all = {
    "Date": new Date(Date.now() + skewMs).toUTCString(),
    ...headers,
    "Content-Length": String(content.byteLength),
    "Connection": "close",
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} ${status}\r\n${lines}\r\n`), content]);
}

/** Passes a request's body on. @returns false when the connections are to break now. */
async function send(
  store: Socket,
  body: AsyncGenerator<Buffer>,
  fault: Fault | undefined,
  released: AbortSignal,
): Promise<boolean> {
  const limit = fault?.kind === "cut-request" || fault?.kind === "stall-request"
    ? fault.afterBytes
    : Infinity;
  let sent = 0;
  // Even an empty body has its fault.
  while (sent < limit) {
    const next = await body.next();
    if (next.done) return true;
    const piece = next.value.subarray(0, limit - sent);
    if (fault?.kind === "flip-request") flip(piece, fault.offset - sent);
    await write(store, piece, fault);
    sent += piece.byteLength;
  }
  if (fault?.kind === "stall-request") await until(released);
  return false;
}

function flip(piece: Buffer, at: number): void {
  if (at >= 0 && at < piece.byteLength) piece[at]! ^= 1;
}

/** Passes the store's answer on, as far as the fault lets it. */
async function receive(
  client: Socket,
  store: Socket,
  fault: Fault | undefined,
  { skewMs, released }: { skewMs: number; released: AbortSignal },
): Promise<void> {
  const chunks = chunksOf(store);
  let head = await readHead(chunks);
  // 100 Continue and its like come before the answer proper.
  while (head !== undefined && / 1\d\d\b/.test(head.lines[0]!)) {
    await write(client, Buffer.from([...head.lines, "", ""].join("\r\n"), "latin1"));
    head = await readHead(chunks, head.rest);
  }
  if (head === undefined) return void client.destroy();
  const body = withFirst(head.rest, chunks);
  if (fault?.kind === "stall-answer" && fault.afterBytes < 0) {
    await until(released);
    return void client.destroy();
  }
  if (fault?.kind === "lose-answer") {
    for await (const _ of body);
    return void client.destroy();
  }
  if (fault?.kind === "alter-answer") {
    const altered = fault.alter(await parseAnswer(head.lines, body));
    return void await write(client, formatAnswer(altered, skewMs));
  }
  const lines = head.lines.filter((line) => !/^connection:/i.test(line)).map((line) =>
    skewMs !== 0 && /^date:/i.test(line)
      ? `Date: ${new Date(Date.parse(line.slice(5)) + skewMs).toUTCString()}`
      : line
  );
  await write(client, Buffer.from([...lines, "Connection: close", "", ""].join("\r\n"), "latin1"));
  const limit = fault?.kind === "cut-answer" || fault?.kind === "stall-answer"
    ? fault.afterBytes
    : Infinity;
  let received = 0;
  for await (const chunk of body) {
    const piece = chunk.subarray(0, limit - received);
    if (fault?.kind === "flip-answer") flip(piece, fault.offset - received);
    await write(client, piece, fault);
    received += piece.byteLength;
    if (received >= limit) break;
  }
  if (fault?.kind === "stall-answer") await until(released);
  if (limit < Infinity) {
    // What was written is to arrive before the connection breaks.
    await sleep(20);
    client.destroy();
    store.destroy();
  }
}

async function parseAnswer(
  [first = "", ...lines]: readonly string[],
  chunks: AsyncGenerator<Buffer>,
): Promise<Required<Answer>> {
  const pieces: Buffer[] = [];
  for await (const chunk of chunks) pieces.push(chunk);
  const headers = Object.fromEntries(parseHeaders(lines));
  const raw = Buffer.concat(pieces);
  const { "transfer-encoding": encoding, "content-length": _, connection: __, ...rest } = headers;
  const body = encoding === undefined ? raw : unchunked(raw);
  return { status: Number(first.split(" ")[1]), headers: rest, body: body.toString("utf8") };
}

function unchunked(raw: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0;;) {
    const lineEnd = raw.indexOf("\r\n", at);
    const length = Number.parseInt(raw.subarray(at, lineEnd).toString("latin1"), 16);
    if (lineEnd < 0 || !(length > 0)) return Buffer.concat(pieces);
    pieces.push(raw.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
}

async function write(socket: Socket, bytes: Buffer, fault?: Fault): Promise<void> {
  if (fault?.kind !== "slow") return await writeAll(socket, bytes);
  const step = Math.max(1, Math.floor(fault.bytesPerSecond / 50));
  for (let at = 0; at < bytes.byteLength; at += step) {
    await writeAll(socket, bytes.subarray(at, at + step));
    await sleep(20);
  }
}

function writeAll(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) return reject(new Error("The connection is closed"));
    const onClose = () => reject(new Error("The connection closed"));
    socket.once("close", onClose);
    socket.write(bytes, () => {
      socket.off("close", onClose);
      resolve();
    });
  });
}

function until(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}
