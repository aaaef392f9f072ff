import type { BlockBlobClient, ContainerClient } from "@azure/storage-blob";
import type { Abortable } from "../../core/bytes.ts";
import { type RetryOptions, type RetryPolicy, withRetry } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import { verdictOf } from "../verdict.ts";
import { logRetry } from "../retry-log.ts";
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
   * @throws BackupError by what went wrong; the signal's reason
   */
  call<T>(
    doing: Doing,
    request: (abortSignal: AbortSignal, nth: number) => Promise<T>,
    o: Abortable,
  ): Promise<T>;
  /** How tries are made, for reads. */
  readonly tries: Pick<RetryOptions, "runtime" | "policy" | "judge" | "onRetry">;
  /** Longest time in milliseconds that a try may take, or a read be without a byte. */
  readonly timeoutMs: number;
}

/** Makes a client. */
export function createAzureClient(
  container: ContainerClient,
  { account, timeoutMs, retry, runtime }: {
    readonly account: string;
    readonly timeoutMs: number;
    readonly retry: RetryPolicy;
    readonly runtime: Runtime;
  },
): AzureClient {
  const tries: AzureClient["tries"] = {
    runtime,
    policy: retry,
    judge: verdictOf,
    onRetry: logRetry(runtime),
  };
  return {
    container,
    blob: (name) => container.getBlockBlobClient(name),
    show: (name) => `az://${account}/${container.containerName}/${name}`,
    call: (doing, request, { signal }) =>
      withRetry(async (abortSignal, nth) => {
        try {
          return await request(abortSignal, nth);
        } catch (error) {
          throw abortSignal.aborted ? abortSignal.reason : azureError(error, doing, runtime.now());
        }
      }, { ...tries, signal, attemptTimeoutMs: timeoutMs }),
    tries,
    timeoutMs,
  };
}
