import { BackupError, type ErrorCode, systemCode } from "../../core/errors.ts";
import { retryAfterMs } from "../../core/retry.ts";
import { ForeignAnswer, foreignAnswer } from "../foreign.ts";
import { isUnknownHost, networkCode, networkWords } from "../network.ts";

/** What was being done, for messages. */
export interface Doing {
  /** The rest of "Cannot …": `write`. */
  readonly verb: string;
  /** `az://account/container/prefix/key` */
  readonly what: string;
}

/** Turns an error of the SDK into ours; what is ours already stays. */
export function azureError(error: unknown, doing: Doing, now: Date): BackupError {
  if (error instanceof BackupError) return error;
  const what = `${doing.verb} "${doing.what}"`;
  if (error instanceof ForeignAnswer) return foreignAnswer(what, error);
  const { status, name, message, retryAfter } = factsOf(error);
  if (isSdksOwn(error)) {
    return foreignAnswer(what, new ForeignAnswer("its parts are missing", { cause: error }));
  }
  const isStores = isFromStore(error);
  if (status === 511 || (status !== undefined && status < 400 && !isStores)) {
    return foreignAnswer(what, new ForeignAnswer(`status ${status}`, { cause: error }));
  }
  const afterMs = retryAfterMs(retryAfter, now);
  const network = status === undefined ? networkCode(error) : undefined;
  const { code, hint } = meaningOf(status, name, message);
  return new BackupError(
    code,
    `Cannot ${doing.verb} "${doing.what}": ${
      networkWords(network) ?? (message || name || `status ${status}`)
    }`,
    {
      cause: error,
      hint,
      details: {
        ...(status === undefined ? {} : { status }),
        ...(name === "" ? {} : { reason: name }),
        ...(isUnknownHost(network) ? { isUnknownHost: true } : {}),
        ...(afterMs === undefined ? {} : { retryAfterMs: afterMs }),
      },
    },
  );
}

/**
 * The answer of a call, once it is known to be the store's: that names each request.
 *
 * @throws ForeignAnswer
 */
export function fromStore<T extends { readonly requestId?: string }>(answer: T): T {
  if (answer.requestId !== undefined) return answer;
  throw new ForeignAnswer("it does not have the marks of a store's answer");
}

/** The SDK stumbles over answers in which something is missing that every store sends. */
function isSdksOwn(error: unknown): boolean {
  return error instanceof RangeError ||
    (error instanceof TypeError && /undefined|null/.test(error.message) &&
      systemCode(error) === undefined);
}

function isFromStore(error: unknown): boolean {
  return headerOf(field(field(error, "response"), "headers"), "x-ms-request-id") !== undefined;
}

/** The store's own name for an error of {@link azureError}. */
export function reasonOf(error: BackupError): unknown {
  return error.details?.["reason"];
}

/** True when the store has no such blob; a missing container is another matter. */
export function isMissing(error: unknown): boolean {
  const { status, name } = factsOf(error);
  return status === 404 && name !== "ContainerNotFound";
}

/** True when a range begins behind the blob's end. */
export function isBeyondEnd(error: unknown): boolean {
  return factsOf(error).status === 416;
}

interface Facts {
  readonly status: number | undefined;
  /** The store's name for the error: `BlobNotFound`; empty where there is none. */
  readonly name: string;
  /** One line. */
  readonly message: string;
  /** The header as it is. */
  readonly retryAfter: string | undefined;
}

function factsOf(error: unknown): Facts {
  const status = field(error, "statusCode");
  const headers = field(field(error, "response"), "headers");
  const name = headerOf(headers, "x-ms-error-code") ??
    field(field(error, "details"), "errorCode") ??
    (typeof status === "number" ? field(error, "code") : undefined);
  const text = error instanceof Error ? error.message : String(error);
  return {
    status: typeof status === "number" ? status : undefined,
    name: typeof name === "string" ? name : "",
    // The store appends its request id and time on lines of their own.
    message: (text.split("\n")[0] ?? "").trim() || (systemCode(error) ?? ""),
    retryAfter: headerOf(headers, "retry-after"),
  };
}

/** Source: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes */
function meaningOf(
  status: number | undefined,
  name: string,
  message: string,
): { code: ErrorCode; hint?: string } {
  const special = byName[name];
  if (special !== undefined) return special;
  if (isCredentialProblem(message)) return noCredentials;
  // Without a status there was no answer.
  if (status === undefined || status === 408 || status === 429 || status >= 500) return unavailable;
  switch (status) {
    case 200:
      // It says that all is well and cannot be read: cut short, or garbled on its way.
      return unavailable;
    case 401:
    case 403:
      return denied;
    case 404:
      return { code: "storage/not-found" };
    case 409:
    case 412:
      return exists;
    default:
      return { code: "storage/failed" };
  }
}

const unavailable = {
  code: "storage/unavailable",
  hint: "Check the network and the store's status, then run again.",
} as const;
const exists = {
  code: "storage/exists",
  hint: "Nothing is ever overwritten. Delete it first if it is not needed.",
} as const;
const denied = {
  code: "storage/denied",
  hint: "Check the key or the shared access signature, or give the identity the role " +
    "Storage Blob Data Contributor on the container.",
} as const;
const noCredentials = {
  code: "storage/denied",
  hint: "Set connectionString, accountKey or sasToken, or run where a managed identity or " +
    "`az login` is at hand.",
} as const;
const retained = {
  code: "storage/retained",
  hint: "The container keeps this blob until its retention ends or its legal hold is lifted.",
} as const;

const byName: Readonly<Record<string, { code: ErrorCode; hint?: string }>> = {
  ContainerNotFound: {
    code: "storage/not-found",
    hint: "Make the container first, or correct its name.",
  },
  ContainerBeingDeleted: unavailable,
  AuthenticationFailed: {
    code: "storage/denied",
    hint: "Check the key; a shared access signature may have expired, and a machine's clock that " +
      "is more than 15 minutes off is refused, too.",
  },
  BlobImmutableDueToPolicy: retained,
  BlobImmutableDueToLegalHold: retained,
  SnapshotsPresent: { code: "storage/failed", hint: "Delete the blob's snapshots." },
  // The bytes were changed on the way: sending them again may help.
  Md5Mismatch: unavailable,
  Crc64Mismatch: unavailable,
};

function isCredentialProblem(message: string): boolean {
  return /DefaultAzureCredential|CredentialUnavailable|ChainedTokenCredential/.test(message);
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function headerOf(headers: unknown, name: string): string | undefined {
  const get = field(headers, "get");
  const value: unknown = typeof get === "function" ? get.call(headers, name) : undefined;
  return typeof value === "string" ? value : undefined;
}
