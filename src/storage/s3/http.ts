import { Readable } from "node:stream";
import type { S3ClientConfig } from "@aws-sdk/client-s3";
import { assertStoreAnswers } from "../foreign.ts";

/** What the SDK hands over once it is signed. */
export interface SignedRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query: Readonly<Record<string, string | string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: BodyInit;
}

/**
 * Sends the SDK's requests by `fetch`. The SDK's own handler goes through node:http, which in Bun
 * copies every body once more: at three parts of 12 MiB that made 50 MB of difference.
 */
export const fetchHandler = {
  metadata: { handlerProtocol: "http/1.1" },
  async handle(request: SignedRequest, { abortSignal }: { abortSignal?: unknown } = {}) {
    const signal = abortSignal instanceof AbortSignal ? abortSignal : undefined;
    return { response: toSdk(await send(request, signal)) };
  },
  updateHttpClientConfig() {},
  httpHandlerConfigs: () => ({}),
  destroy() {},
} satisfies S3ClientConfig["requestHandler"];

/**
 * Sends a request that is signed.
 *
 * @throws ForeignAnswer; what `fetch` throws
 */
export async function send(
  request: SignedRequest,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const url = urlOf(request);
  const answer = await fetch(url, {
    method: request.method,
    headers: headersOf(request),
    body: request.body,
    // The region's redirect is told to the user, an answer is stored bytes as they are, and how
    // long a call may take is decided by who makes it.
    redirect: "manual",
    decompress: false,
    timeout: false,
    ...(signal === undefined ? {} : { signal }),
  });
  assertStoreAnswers(answer.status, answer.headers, url);
  return answer;
}

/** An answer as the SDK reads it. */
export function toSdk({ status, statusText, headers, body }: Response) {
  return {
    statusCode: status,
    reason: statusText,
    headers: Object.fromEntries(headers),
    body: body === null ? Readable.from([]) : Readable.from(body),
  };
}

/** The URL as it was signed. */
function urlOf({ protocol, hostname, port, path, query }: SignedRequest): string {
  const parameters = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) =>
      one === null ? encode(name) : `${encode(name)}=${encode(one)}`
    )
  );
  const search = parameters.length === 0 ? "" : `?${parameters.join("&")}`;
  return `${protocol}//${hostname}${port === undefined ? "" : `:${port}`}${path}${search}`;
}

/** Strict: encodeURIComponent leaves some characters that a signature wants encoded. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** `fetch` sets the host itself, and waits for no "100 Continue". */
function headersOf({ headers }: SignedRequest): Record<string, string> {
  const { host: _host, expect: _expect, ...rest } = headers;
  return rest;
}
