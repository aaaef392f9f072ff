import type { MongoClient, MongoClientOptions } from "mongodb";
import { type SignOfLife, whileAlive } from "../../core/alive.ts";
import type { Abortable } from "../../core/bytes.ts";
import { timed } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import { answered, connectionError } from "./errors.ts";
import type { MongoAddress } from "./uri.ts";

/** The driver's connection, made at first use. */
export interface Client {
  /**
   * Asks the server with the driver, for as long as it gives signs of life, and names its errors.
   *
   * @throws BackupError `connection/unreachable`, `connection/authentication`, `connection/tls`,
   * `connection/denied`, `connection/refused`, `connection/silent`
   */
  ask<T>(use: (client: MongoClient) => Promise<T>, o: Abortable): Promise<T>;
  /** How the server is asked whether it is still there, for the tools that talk to it themselves. */
  readonly alive: SignOfLife;
  /** Waits a few seconds at most. */
  close(): Promise<void>;
}

/** A driver that waits for a silent server does not end by itself. */
const closeMs = 5_000;
const never = new AbortController().signal;

/** A client of an address. */
export function clientOf(address: MongoAddress, { log }: Pick<Runtime, "log">): Client {
  let connecting: Promise<MongoClient> | undefined;
  const alive: SignOfLife = {
    label: address.label,
    limitMs: address.connection.answerTimeoutMs,
    ask: (o) => askForLife(address, o),
    onSilence: () =>
      log.warn("{location} does not answer; waiting for it", { location: address.label }),
  };

  async function connect(signal: AbortSignal): Promise<MongoClient> {
    const client = await newClient(address, {});
    // Ends the waiting for a server that does not answer.
    const onAbort = () => void client.close(true).catch(() => {});
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await client.connect();
    } catch (error) {
      void client.close(true).catch(() => {});
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async function get(signal: AbortSignal): Promise<MongoClient> {
    const mine = connecting ??= connect(signal);
    try {
      return await mine;
    } catch (error) {
      if (connecting === mine) connecting = undefined;
      throw error;
    }
  }

  return {
    alive,
    async ask(use, { signal }) {
      try {
        return await whileAlive(async (ending) => await use(await get(ending)), alive, { signal });
      } catch (error) {
        signal.throwIfAborted();
        throw connectionError(address, error);
      }
    },
    async close() {
      const closing = async () => {
        const client = await connecting?.catch(() => undefined);
        await client?.close(true);
      };
      await timed(closing, closeMs, never).catch(() => {});
    },
  };
}

async function newClient(
  address: MongoAddress,
  options: MongoClientOptions,
): Promise<MongoClient> {
  // Lazy: the driver takes time to load, and most commands never need it.
  const { MongoClient } = await import("mongodb");
  try {
    return new MongoClient(address.uri, {
      ...address.isHostnameIgnored ? { tlsAllowInvalidHostnames: true } : {},
      ...options,
    });
  } catch (error) {
    throw connectionError(address, error);
  }
}

/**
 * Asks over a connection of its own for a document of the server's own, the member that everything
 * else goes to: the primary, or whom the URL's readPreference names. A healthy secondary is no sign
 * of life of a primary that hangs. Not `ping`: a server whose storage hangs answers that.
 */
async function askForLife(address: MongoAddress, { signal }: Abortable): Promise<void> {
  const client = await newClient(address, { maxPoolSize: 1 });
  const onAbort = () => void client.close(true).catch(() => {});
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await client.db("admin").collection("system.version").findOne();
  } catch (error) {
    if (!answered(error)) throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    void client.close(true).catch(() => {});
  }
}
