import type { BlockBlobClient, ContainerClient } from "@azure/storage-blob";
import type { Abortable } from "../../core/bytes.ts";
import type { Calls } from "../calls.ts";
import { azureError, type Doing } from "./errors.ts";

/** One container. */
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
  readonly calls: Calls;
  readonly now: () => Date;
}

/** Makes a client. */
export function createAzureClient(
  container: ContainerClient,
  { account, calls, now }: {
    readonly account: string;
    readonly calls: Calls;
    readonly now: () => Date;
  },
): AzureClient {
  return {
    container,
    blob: (name) => container.getBlockBlobClient(name),
    show: (name) => `az://${account}/${container.containerName}/${name}`,
    call: (doing, request, o) =>
      calls.call(async (abortSignal, nth) => {
        try {
          return await request(abortSignal, nth);
        } catch (error) {
          throw abortSignal.aborted ? abortSignal.reason : azureError(error, doing, now());
        }
      }, o),
    calls,
    now,
  };
}
