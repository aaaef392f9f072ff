import type { Abortable } from "../../core/bytes.ts";
import type { Calls } from "../calls.ts";
import { assertStoreAnswers } from "../foreign.ts";
import { answerError, connectionError, type Doing } from "./errors.ts";

/** One request to the JSON API. */
export interface GcsRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Path and query below the endpoint, or a whole URL that the store gave. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  readonly doing: Doing;
  /** Statuses that are no errors besides 2xx. */
  readonly accept?: readonly number[];
}

/** An answer with its whole body. */
export interface GcsAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Sends requests to one bucket. */
export interface GcsClient {
  /** The bucket's resource below the endpoint: `/storage/v1/b/NAME`. */
  readonly bucketPath: string;
  /** An object's resource. */
  objectPath(name: string): string;
  /** `gs://bucket/name`, for messages. */
  show(name: string): string;
  /**
   * Sends a request and reads its answer, and does so again where that may help.
   *
   * @throws BackupError by the answer's status; the signal's reason
   */
  call(request: GcsRequest, o: Abortable): Promise<GcsAnswer>;
  /** For what takes several requests, each by {@link once}. */
  readonly calls: Calls;
  readonly now: () => Date;
  /** Sends a request once and reads its answer. */
  once(request: GcsRequest, o: Abortable): Promise<GcsAnswer>;
  /** Sends a request once; the answer's body is still to be read, and ends with the signal. */
  open(request: GcsRequest, o: Abortable): Promise<Response>;
}

/** What a client needs to know. */
export interface GcsClientOptions {
  readonly bucket: string;
  readonly endpoint: string;
  /** Which project pays, for buckets whose requester does. */
  readonly userProject: string | undefined;
  readonly calls: Calls;
  readonly now: () => Date;
  /** The headers that say who asks. */
  readonly authorize: () => Promise<Headers>;
}

/** Makes a client. */
export function createGcsClient(options: GcsClientOptions): GcsClient {
  const { bucket, userProject, calls, now, authorize } = options;
  const ours = new URL(options.endpoint);
  const bucketPath = `/storage/v1/b/${encodeURIComponent(bucket)}`;

  async function open(request: GcsRequest, { signal }: Abortable): Promise<Response> {
    try {
      const headers = await authorize();
      for (const [name, value] of Object.entries(request.headers ?? {})) headers.set(name, value);
      const response = await fetch(address(request.url), {
        method: request.method,
        headers,
        ...(request.body === undefined ? {} : { body: sendable(request.body) }),
        // 308 is how a resumable upload says "go on", and leads nowhere else.
        redirect: "manual",
        signal,
      });
      assertStoreAnswers(response.status, response.headers, ours.href);
      if (response.ok || (request.accept ?? []).includes(response.status)) return response;
      throw await answerError(response, request.doing, now());
    } catch (error) {
      throw signal.aborted ? signal.reason : connectionError(error, request.doing);
    }
  }

  async function once(request: GcsRequest, o: Abortable): Promise<GcsAnswer> {
    const { status, headers, body } = await open(request, o);
    try {
      return { status, headers, text: await new Response(body).text() };
    } catch (error) {
      throw o.signal.aborted ? o.signal.reason : connectionError(error, request.doing);
    }
  }

  /** The store names its own host in the URL of an upload; ours is the one that we can reach. */
  function address(url: string): string {
    const target = new URL(url, ours);
    target.protocol = ours.protocol;
    target.host = ours.host;
    if (userProject !== undefined) target.searchParams.set("userProject", userProject);
    return target.href;
  }

  return {
    bucketPath,
    objectPath: (name) => `${bucketPath}/o/${encodeURIComponent(name)}`,
    show: (name) => `gs://${bucket}/${name}`,
    call: (request, o) => calls.call((signal) => once(request, { signal }), o),
    calls,
    now,
    once,
    open,
  };
}

/** What fetch takes by its type: a view of memory that is not shared between threads. */
function sendable(body: Uint8Array | string): Uint8Array<ArrayBuffer> | string {
  if (typeof body === "string") return body;
  const { buffer, byteOffset, byteLength } = body;
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : new Uint8Array(body);
}
