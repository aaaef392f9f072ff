import type { Storage } from "../../src/contracts/storage.ts";
import type { RetryPolicy } from "../../src/core/retry.ts";
import { openAzure } from "../../src/storage/azure/mod.ts";
import { openGcs } from "../../src/storage/gcs/mod.ts";
import { openS3 } from "../../src/storage/s3/mod.ts";
import { azurite } from "./azurite.ts";
import { type Answer, type FaultProxy, faultProxy, type Rule } from "./faultProxy.ts";
import { gcs } from "./gcs.ts";
import type { Need } from "./installed.ts";
import { testRuntime } from "./runtime.ts";
import { s3Server } from "./s3.ts";

/** What a client asks of a store. */
export type Operation = "put" | "begin" | "part" | "complete" | "get" | "list" | "delete";

/** How a store says no. */
export type Refusal = "500" | "slow-down" | "too-many" | "denied" | "expired" | "clock";

/** One cloud: its dialect, and a real store that speaks it. */
export interface Cloud {
  readonly name: string;
  readonly needs: readonly Need[];
  /** The size of parts in tests; a body of two and a half has three of them. */
  readonly partBytes: number;
  /** Which requests an operation sends. */
  readonly requests: Readonly<Record<Operation, Pick<Rule, "method" | "path" | "nth">>>;
  /** The answer to the second part is lost, as this store takes it. */
  readonly lostPart: readonly Rule[];
  /** An answer to any of them. */
  refuse(refusal: Refusal): Answer;
  /** Makes an empty bucket and a proxy in front of it. */
  setup(): Promise<CloudPlace>;
}

/** An empty bucket behind a {@link FaultProxy}. */
export interface CloudPlace {
  readonly proxy: FaultProxy;
  /** The destination's URL, through the proxy. */
  readonly url: string;
  /** The same in a config, as YAML. */
  readonly yaml: string;
  /** The variables by which the binary finds the keys. */
  readonly env: Readonly<Record<string, string>>;
  /** Opens it. `endpoint` leads elsewhere than to the proxy. */
  open(o?: {
    readonly timeoutMs?: number;
    readonly retry?: RetryPolicy;
    readonly endpoint?: string;
    readonly bucket?: string;
  }): Promise<Storage>;
  /** The names of the objects that are there, asked of the store itself. */
  names(): Promise<string[]>;
  /** How many uploads were begun and neither completed nor called off. */
  unfinished(): Promise<number>;
}

/** Three quick tries. */
export const quickRetry: RetryPolicy = { attempts: 3, baseMs: 5, maxMs: 20, totalMs: 60_000 };

const googleCloud: Cloud = {
  name: "gcs",
  needs: ["fakegcs"],
  partBytes: 256 * 1024,
  requests: {
    put: { method: "POST", path: "uploadType=multipart" },
    begin: { method: "POST", path: "uploadType=resumable" },
    part: { method: "PUT", path: "upload_id=" },
    // The third part of three is what completes.
    complete: { method: "PUT", path: "upload_id=", nth: 3 },
    get: { method: "GET", path: "alt=media" },
    list: { method: "GET", path: /\/o\?prefix=/ },
    delete: { method: "DELETE" },
  },
  lostPart: [
    { method: "PUT", path: "upload_id=", nth: 2, fault: { kind: "lose-answer" } },
    // The real store passes over what it has; the fake one would append it once more.
    {
      method: "PUT",
      path: "upload_id=",
      nth: 2,
      fault: {
        kind: "answer",
        answer: { status: 308, headers: { range: `bytes=0-${2 * 256 * 1024 - 1}` } },
      },
    },
  ],
  refuse(refusal) {
    const [status, reason, message] = {
      "500": [500, "internalError", "Backend Error"],
      "slow-down": [503, "backendError", "Service Unavailable"],
      "too-many": [429, "rateLimitExceeded", "The rate of requests is too high"],
      "denied": [403, "forbidden", "the account does not have storage.objects access"],
      "expired": [401, "authError", "Invalid Credentials"],
      "clock": [401, "authError", "Invalid JWT: check your iat and exp values"],
    }[refusal] as [number, string, string];
    const error = { code: status, message, errors: [{ domain: "global", reason, message }] };
    return {
      status,
      headers: { "content-type": "application/json", ...patience(refusal) },
      body: JSON.stringify({ error }),
    };
  },
  async setup() {
    const server = await gcs();
    const own = await server.createBucket();
    const proxy = await faultProxy(server.port);
    return {
      proxy,
      url: `gs://${own}/p?apiEndpoint=${proxy.url}`,
      yaml: `{ type: gcs, bucket: ${own}, prefix: p, apiEndpoint: "${proxy.url}" }`,
      env: {},
      open: ({ timeoutMs, retry = quickRetry, endpoint = proxy.url, bucket = own } = {}) =>
        openGcs({ bucket, prefix: "p", apiEndpoint: endpoint, timeout: timeoutMs }, {
          runtime: testRuntime(),
          retry,
          partBytes: googleCloud.partBytes,
        }),
      names: () => server.names(own, true),
      unfinished() {
        // The server lists none, so we count what was asked of it.
        const ids = (method: string, wanted: RegExp) =>
          proxy.requests.filter((one) => one.method === method && wanted.test(one.path));
        const begun = new Set(ids("PUT", /upload_id=/).map((one) => uploadId(one.path)));
        for (const { path } of ids("DELETE", /upload_id=/)) begun.delete(uploadId(path));
        for (const one of ids("PUT", /upload_id=/)) {
          const isLast = /\/\d+$/.test(one.headers.get("content-range") ?? "");
          if (isLast) begun.delete(uploadId(one.path));
        }
        return Promise.resolve(begun.size);
      },
    };
  },
};

function uploadId(path: string): string {
  return /upload_id=([^&]+)/.exec(path)?.[1] ?? "";
}

const azureBlob: Cloud = {
  name: "azure",
  needs: [],
  partBytes: 256 * 1024,
  requests: {
    put: { method: "PUT", path: /^[^?]+(\?(?!.*comp=).*)?$/ },
    begin: { method: "HEAD" },
    part: { method: "PUT", path: /comp=block(&|$)/ },
    complete: { method: "PUT", path: "comp=blocklist" },
    get: { method: "GET", path: /^[^?]+$/ },
    list: { method: "GET", path: "comp=list" },
    delete: { method: "DELETE" },
  },
  lostPart: [
    { method: "PUT", path: /comp=block(&|$)/, nth: 2, fault: { kind: "lose-answer" } },
  ],
  refuse(refusal) {
    const [status, code, message] = {
      "500": [500, "InternalError", "The server encountered an internal error."],
      "slow-down": [503, "ServerBusy", "The server is busy."],
      "too-many": [429, "TooManyRequests", "Too many requests."],
      "denied": [403, "AuthorizationPermissionMismatch", "This request is not authorized."],
      "expired": [403, "AuthenticationFailed", "Signature not valid in the specified time frame"],
      "clock": [403, "AuthenticationFailed", "Request date header too old"],
    }[refusal] as [number, string, string];
    return {
      status,
      headers: {
        "content-type": "application/xml",
        "x-ms-error-code": code,
        ...patience(refusal),
      },
      body: `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code>` +
        `<Message>${message}</Message></Error>`,
    };
  },
  async setup() {
    const server = await azurite();
    const { accountName, accountKey } = server;
    const container = await server.createContainer();
    const proxy = await faultProxy(server.port);
    const place = `accountName: ${accountName}, container: ${container}, prefix: p`;
    return {
      proxy,
      url: `az://${accountName}/${container}/p?endpoint=${proxy.url}/${accountName}`,
      yaml: `{ type: azure, ${place}, endpoint: "${proxy.url}/${accountName}" }`,
      env: { AZURE_STORAGE_KEY: accountKey },
      open({ timeoutMs, retry = quickRetry, endpoint = proxy.url, bucket = container } = {}) {
        return openAzure({
          container: bucket,
          prefix: "p",
          accountName,
          accountKey,
          endpoint: `${endpoint}/${accountName}`,
          timeout: timeoutMs,
        }, { runtime: testRuntime(), retry, partBytes: azureBlob.partBytes });
      },
      names: () => server.names(container),
      // Blocks without a blob are dropped by the store itself, after a week.
      unfinished: () => Promise.resolve(0),
    };
  },
};

const mebibyte = 1024 * 1024;
const amazon: Cloud = {
  name: "s3",
  needs: ["versitygw"],
  // The least that S3 takes.
  partBytes: 5 * mebibyte,
  requests: {
    put: { method: "PUT", path: "x-id=PutObject" },
    begin: { method: "POST", path: /\?uploads/ },
    part: { method: "PUT", path: "partNumber=" },
    complete: { method: "POST", path: "uploadId=" },
    get: { method: "GET", path: "x-id=GetObject" },
    list: { method: "GET", path: "list-type=2" },
    delete: { method: "DELETE", path: "x-id=DeleteObject" },
  },
  lostPart: [{ method: "PUT", path: "partNumber=2", fault: { kind: "lose-answer" } }],
  refuse(refusal) {
    const [status, code, message] = {
      "500": [500, "InternalError", "We encountered an internal error. Please try again."],
      "slow-down": [503, "SlowDown", "Please reduce your request rate."],
      "too-many": [429, "TooManyRequests", "Please reduce your request rate."],
      "denied": [403, "AccessDenied", "Access Denied"],
      "expired": [400, "ExpiredToken", "The provided token has expired."],
      "clock": [403, "RequestTimeTooSkewed", "The difference between the times is too large."],
    }[refusal] as [number, string, string];
    return {
      status,
      headers: { "content-type": "application/xml", ...patience(refusal) },
      body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code>` +
        `<Message>${message}</Message></Error>`,
    };
  },
  async setup() {
    const server = await s3Server();
    const own = await server.bucket();
    const proxy = await faultProxy(Number(new URL(server.endpoint).port));
    return {
      proxy,
      url: `s3://${own}/p?endpoint=${proxy.url}`,
      yaml: `{ type: s3, bucket: ${own}, prefix: p, endpoint: "${proxy.url}" }`,
      env: server.env,
      open({ timeoutMs, retry = quickRetry, endpoint = proxy.url, bucket = own } = {}) {
        const options = { ...server.options(bucket), endpoint, prefix: "p" };
        return openS3({ ...options, partSize: amazon.partBytes }, {
          runtime: testRuntime(),
          policy: retry,
          timeoutMs,
        });
      },
      names: async () => (await server.versions(own)).map(({ key }) => key).sort(),
      unfinished: async () => (await server.uploads(own)).length,
    };
  },
};

/** Stores may say when to come back; here, at once. */
function patience(refusal: Refusal): Record<string, string> {
  return refusal === "slow-down" || refusal === "too-many" ? { "retry-after": "0" } : {};
}

/** Every cloud. */
export const clouds: readonly Cloud[] = [amazon, googleCloud, azureBlob];
