import type { BlockBlobClient, ContainerClient } from "@azure/storage-blob";
import type { Abortable } from "../../core/bytes.ts";
import { type RetryOptions, type RetryPolicy, withRetry } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { Waiting } from "../waiting.ts";
import { azureError, type Doing } from "./errors.ts";

/** One container. The SDK's own retrying is off: here is the one layer that does. */
export interface AzureClient {
  readonly container: ContainerClient;
  blob(name: string): BlockBlobClient;
  /** `az://account/container/name`, for messages. */
  show(name: string): string;
  /**
   * Sends a request, again where that may help.
   *
   * @param request gets the signal that ends it, and which try it is, from 1
   * @param o.bytes how many it sends
   * @throws BackupError by what went wrong; the signal's reason
   */
  call<T>(
    doing: Doing,
    request: (abortSignal: AbortSignal, nth: number) => Promise<T>,
    o: Abortable & { readonly bytes?: number },
  ): Promise<T>;
  /** How tries are made, for reads. */
  readonly tries: Pick<RetryOptions, "runtime" | "policy" | "judge" | "onRetry" | "onAnswer">;
  /** Longest time in milliseconds that a read may be without a byte. */
  readonly stallMs: number;
}

/** Makes a client. */
export function createAzureClient(
  container: ContainerClient,
  { account, retry, waiting, runtime }: {
    readonly account: string;
    readonly retry: RetryPolicy;
    readonly waiting: Waiting;
    readonly runtime: Runtime;
  },
): AzureClient {
  const tries: AzureClient["tries"] = {
    runtime,
    policy: retry,
    ...waiting.told,
  };
  return {
    container,
    blob: (name) => container.getBlockBlobClient(name),
    show: (name) => `az://${account}/${container.containerName}/${name}`,
    call: (doing, request, { signal, bytes }) =>
      withRetry(async (abortSignal, nth) => {
        try {
          return await request(abortSignal, nth);
        } catch (error) {
          throw abortSignal.aborted ? abortSignal.reason : azureError(error, doing, runtime.now());
        }
      }, { ...tries, ...waiting.attempt({ bytes }), signal }),
    tries,
    stallMs: waiting.stallMs,
  };
}
